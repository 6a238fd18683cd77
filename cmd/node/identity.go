package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairndb/cairn/kv/kvpb"
)

// identity is what a store knows of itself: written once, when the node
// becomes a member of a cluster.
type identity struct {
	Version   int          `json:"version"`
	ClusterID string       `json:"clusterId"`
	Node      kvpb.NodeID  `json:"node"`
	Store     kvpb.StoreID `json:"store"`
	// Bootstrapping: the node is the first of the cluster and has not finished to
	// make its first range. A crash in between is made good at the next start.
	Bootstrapping bool `json:"bootstrapping,omitempty"`
}

const (
	identityVersion = 1
	identityFile    = "identity.json"
)

// readIdentity returns the store's identity, nil for a new store.
func readIdentity(fs vfs.FS, dir string) (*identity, error) {
	name := fs.PathJoin(dir, identityFile)
	f, err := fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	id := &identity{}
	if err := json.Unmarshal(raw, id); err != nil || id.ClusterID == "" || id.Node == 0 || id.Store == 0 {
		return nil, hint(fmt.Errorf("%s is damaged", name), "restore the store from a copy, or start the node with an empty store: the cluster replaces its replicas")
	}
	if id.Version > identityVersion {
		return nil, hint(fmt.Errorf("the store %s was written by a newer version of cairn", dir), "start it with that version")
	}
	return id, nil
}

// writeIdentity replaces the store's identity; it survives a crash once it
// returns.
func writeIdentity(fs vfs.FS, dir string, id identity) error {
	id.Version = identityVersion
	raw, err := json.MarshalIndent(&id, "", "  ")
	if err != nil {
		return err
	}
	temporary := fs.PathJoin(dir, identityFile+".new")
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(raw, '\n')); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := fs.Rename(temporary, fs.PathJoin(dir, identityFile)); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
