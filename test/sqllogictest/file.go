package sqllogictest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

var databases atomic.Int64

// RunFile runs a file in a database of its own on the server of dsn and drops
// the database afterwards.
func RunFile(ctx context.Context, dsn, name string, o Options) (Result, error) {
	file, err := os.Open(name)
	if err != nil {
		return Result{}, err
	}
	defer file.Close()

	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return Result{}, err
	}
	admin, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return Result{}, err
	}
	defer admin.Close(ctx)
	database := fmt.Sprintf("slt_%d_%d", os.Getpid(), databases.Add(1))
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+database).ReadAll(); err != nil {
		return Result{}, err
	}
	config.Database = database
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return Result{}, err
	}
	result, err := Run(ctx, conn, file, o)
	conn.Close(ctx)
	if _, dropErr := admin.Exec(ctx, "DROP DATABASE "+database).ReadAll(); err == nil {
		err = dropErr
	}
	return result, err
}
