package pgwire

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/cairndb/cairn/sql/pgerror"
)

// SCRAM-SHA-256 as the server speaks it (RFC 5802, RFC 7677), without channel
// binding. The stored verifier is PostgreSQL's:
// SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey.
const (
	scramMechanism  = "SCRAM-SHA-256"
	scramIterations = 4096
	scramNonceBytes = 18
)

var errWrongPassword = errors.New("wrong password")

// mockSalt is the key from which the salts of roles without a password are
// made: the same for each attempt, as a real one is.
var mockSalt = func() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return b
}()

// scram is one exchange.
type scram struct {
	iterations           int
	salt                 string // base64
	storedKey, serverKey []byte
	mock                 bool // there is no password: it fails in the end

	nonce       string
	clientFirst string // bare
	serverFirst string
	header      string // gs2
}

// newScram begins an exchange with a verifier; one that is empty or broken
// never succeeds.
func newScram(stored, user string) (*scram, error) {
	s := &scram{}
	if !s.parse(stored) {
		h := hmac.New(sha256.New, mockSalt)
		h.Write([]byte(user))
		s.mock, s.iterations, s.salt = true, scramIterations, base64.StdEncoding.EncodeToString(h.Sum(nil)[:16])
		s.storedKey, s.serverKey = make([]byte, sha256.Size), make([]byte, sha256.Size)
	}
	nonce := make([]byte, scramNonceBytes)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	s.nonce = base64.StdEncoding.EncodeToString(nonce)
	return s, nil
}

func (s *scram) parse(stored string) bool {
	rest, ok := strings.CutPrefix(stored, scramMechanism+"$")
	if !ok {
		return false
	}
	parameters, keys, ok := strings.Cut(rest, "$")
	if !ok {
		return false
	}
	iterations, salt, ok := strings.Cut(parameters, ":")
	if !ok {
		return false
	}
	storedKey, serverKey, ok := strings.Cut(keys, ":")
	if !ok {
		return false
	}
	var err1, err2, err3 error
	s.iterations, err1 = strconv.Atoi(iterations)
	s.salt = salt
	s.storedKey, err2 = base64.StdEncoding.DecodeString(storedKey)
	s.serverKey, err3 = base64.StdEncoding.DecodeString(serverKey)
	return errors.Join(err1, err2, err3) == nil && s.iterations > 0 && len(s.storedKey) == sha256.Size && len(s.serverKey) == sha256.Size
}

func malformedScram(detail string) error {
	return pgerror.New(pgerror.ProtocolViolation, "malformed SCRAM message").WithDetail("%s", detail)
}

// first answers the client's first message with the challenge.
func (s *scram) first(message string) (string, error) {
	// gs2-cbind-flag , [authzid] , n=user,r=nonce
	flag, rest, ok := strings.Cut(message, ",")
	if !ok {
		return "", malformedScram("The message has no channel-binding flag.")
	}
	if flag != "n" && flag != "y" {
		return "", malformedScram("The client asks for channel binding, which is not offered.")
	}
	identity, bare, ok := strings.Cut(rest, ",")
	if !ok {
		return "", malformedScram("The message has no user name.")
	}
	if identity != "" {
		return "", pgerror.Unsupported("a SCRAM authorization identity")
	}
	s.header = flag + ",,"
	s.clientFirst = bare
	_, nonce, ok := strings.Cut(bare, ",r=")
	if !ok || !strings.HasPrefix(bare, "n=") {
		return "", malformedScram("The message has no nonce.")
	}
	nonce, _, _ = strings.Cut(nonce, ",")
	if nonce == "" {
		return "", malformedScram("The nonce is empty.")
	}
	s.nonce = nonce + s.nonce
	s.serverFirst = "r=" + s.nonce + ",s=" + s.salt + ",i=" + strconv.Itoa(s.iterations)
	return s.serverFirst, nil
}

// final checks the client's proof and returns the server's.
func (s *scram) final(message string) (string, error) {
	withoutProof, encoded, ok := cutLast(message, ",p=")
	if !ok {
		return "", malformedScram("The message has no proof.")
	}
	proof, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(proof) != sha256.Size {
		return "", malformedScram("The proof is malformed.")
	}
	binding, nonce, ok := strings.Cut(withoutProof, ",r=")
	if !ok || binding != "c="+base64.StdEncoding.EncodeToString([]byte(s.header)) {
		return "", malformedScram("The channel binding differs.")
	}
	if nonce != s.nonce {
		return "", malformedScram("The nonce differs.")
	}
	auth := s.clientFirst + "," + s.serverFirst + "," + withoutProof
	signature := sign(s.storedKey, auth)
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, proof, signature)
	stored := sha256.Sum256(clientKey)
	if subtle.ConstantTimeCompare(stored[:], s.storedKey) != 1 || s.mock {
		return "", errWrongPassword
	}
	return "v=" + base64.StdEncoding.EncodeToString(sign(s.serverKey, auth)), nil
}

func sign(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}
