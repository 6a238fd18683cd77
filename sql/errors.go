package sql

import (
	"context"
	"errors"
	"fmt"

	"github.com/cairndb/cairn/kv/kvpb"
	"github.com/cairndb/cairn/sql/pgerror"
	"github.com/cairndb/cairn/txn"
)

// clientError turns any error of the layers below into what the client sees.
func clientError(err error) *pgerror.Error {
	if e, ok := errors.AsType[*pgerror.Error](err); ok {
		return e
	}
	if e := transactionError(err); e != nil {
		return e
	}
	if e, ok := errors.AsType[*kvpb.LockNotAvailableError](err); ok {
		if e.Timeout > 0 {
			return pgerror.New(pgerror.LockNotAvailable, "canceling statement due to lock timeout")
		}
		return pgerror.New(pgerror.LockNotAvailable, "could not obtain lock on row")
	}
	if e, ok := errors.AsType[*kvpb.AmbiguousResultError](err); ok {
		return pgerror.New(pgerror.StatementCompletionUnknown, "it is not known whether the transaction was committed").
			WithDetail("%s", e.Cause).WithHint("Look whether its changes are there before you repeat it.")
	}
	if e, ok := errors.AsType[*kvpb.StoreFullError](err); ok {
		return pgerror.New(pgerror.DiskFull, "could not write: no space left on device").
			WithDetail("Store %d takes only deletions until there is room again.", e.Store).WithHint("Free disk space, delete data or add a node.")
	}
	if e, ok := errors.AsType[*kvpb.BatchTimestampBeforeGCError](err); ok {
		return pgerror.New(pgerror.ObjectNotInPrerequisiteState, "the transaction is too old: what it would read has been removed").WithDetail("%s", e.Error())
	}
	if e, ok := errors.AsType[*kvpb.RequestError](err); ok {
		return pgerror.New(pgerror.FeatureNotSupported, e.Message)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return pgerror.New(pgerror.QueryCanceled, "canceling statement due to user request")
	case errors.Is(err, context.DeadlineExceeded):
		return statementTimeout
	}
	if e, ok := errors.AsType[*kvpb.UnavailableError](err); ok {
		return pgerror.New(pgerror.CannotConnectNow, "part of the data can't be reached now").WithDetail("%s", e.Cause).
			WithHint("Most of the nodes that hold it are down or cut off. Try again.")
	}
	return pgerror.New(pgerror.Internal, err.Error())
}

// statementTimeout and its like are the causes of cancelled contexts.
var (
	statementTimeout = pgerror.New(pgerror.QueryCanceled, "canceling statement due to statement timeout")
	userRequest      = pgerror.New(pgerror.QueryCanceled, "canceling statement due to user request")
)

const retryHint = "The transaction might succeed if retried."

// transactionError words the errors after which a transaction must start
// again; nil for others.
func transactionError(err error) *pgerror.Error {
	concurrentUpdate := func(format string, args ...any) *pgerror.Error {
		return pgerror.New(pgerror.SerializationFailure, "could not serialize access due to concurrent update").WithDetail(format, args...).WithHint(retryHint)
	}
	if e, ok := errors.AsType[*kvpb.TransactionAbortedError](err); ok {
		if e.Reason == kvpb.AbortDeadlock {
			d := pgerror.New(pgerror.DeadlockDetected, "deadlock detected").WithHint(retryHint)
			if !e.Blocker.ID.IsZero() {
				d = d.WithDetail("The transaction waited for transaction %s, which waited for it.", e.Blocker.ID.Short())
			}
			return d
		}
		return concurrentUpdate("Reason: %s.%s", e.Error(), conflicting(e.Blocker))
	}
	if e, ok := errors.AsType[*kvpb.TransactionRetryError](err); ok {
		if e.Reason == kvpb.RetrySerializable {
			return pgerror.New(pgerror.SerializationFailure, "could not serialize access due to read/write dependencies among transactions").
				WithDetail("Reason: %s.%s", e.Error(), conflicting(e.Conflict)).WithHint(retryHint)
		}
		return concurrentUpdate("Reason: %s.%s", e.Error(), conflicting(e.Conflict))
	}
	if e, ok := errors.AsType[*kvpb.WriteTooOldError](err); ok {
		return concurrentUpdate("Reason: a row was changed at %s, after the transaction began.", e.Actual)
	}
	if e, ok := errors.AsType[*kvpb.UncertaintyError](err); ok {
		return concurrentUpdate("Reason: %s.", e.Error())
	}
	if txn.IsRetryable(err) {
		return concurrentUpdate("Reason: %s.", err)
	}
	return nil
}

func conflicting(t kvpb.TxnMeta) string {
	if t.ID.IsZero() {
		return ""
	}
	return fmt.Sprintf(" The other one is transaction %s of node %d.", t.ID.Short(), t.Gateway)
}

// isAmbiguous reports whether the outcome of a commit is unknown.
func isAmbiguous(err error) bool {
	_, ok := errors.AsType[*kvpb.AmbiguousResultError](err)
	return ok
}
