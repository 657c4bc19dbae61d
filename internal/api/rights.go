package api

import (
	"context"

	"greenroom/internal/app"
	"greenroom/internal/plan"
)

// Rights that are not given by roles.
const (
	RightRead  app.Right = "read"  // look at what there is; who has any role may
	RightOwner app.Right = "owner" // what only the user that the daemon runs as may do, and root
)

// Guard says whether the one who asks (see PeerOf) has a right; nil is a yes. A no is Blocked and names who has it.
type Guard interface {
	// May asks about a right in an app. An app that is not known has no roles: there the owner alone may do anything. With
	// app "" the question is about Greenroom as a whole.
	May(ctx context.Context, right app.Right, app string) error
	// MayRun asks about a right in the app that a run belongs to.
	MayRun(ctx context.Context, right app.Right, run string) error
}

// rights is which right each method of Backend takes. Where it depends on what is asked for, the case stands behind a
// slash. A method or case without a row is the owner's.
var rights = map[string]app.Right{
	"Version": RightRead, "Status": RightRead, "History": RightRead, "Logs": RightRead, "Diff": RightRead,
	"Releases": RightRead, "Resolve": RightRead, "Plan": RightRead, "Run": RightRead, "Events": RightRead,
	"Report": RightRead, "Explain": RightRead, "SecretList": RightRead, "Bundle": RightRead, "Packed": RightRead,
	"Evidence": RightRead, "Standing": RightRead, "Keys": RightRead, "Log": RightRead, "Anchor": RightRead,

	// Every `up` registers. It changes nothing of an app that is known, and one that is not has only its owner.
	"Register":    app.RightOperate,
	"Up":          app.RightOperate,
	"Down":        app.RightOperate,
	"Up/all":      RightOwner,
	"Down/all":    RightOwner,
	"Down/data":   RightOwner, // what is gone then comes back from nowhere
	"Shutdown":    RightOwner,
	"StateBackup": RightOwner,
	"Import":      app.RightBuild,
	"Take":        app.RightBuild,
	"SecretSet":   app.RightSecret, "SecretRemove": app.RightSecret,

	"Copies": RightRead, "Database": RightRead,
	"TakeCopy": app.RightOperate, "VerifyCopy": app.RightOperate, "RemoveCopy": app.RightOperate,
	"ExportCopy": app.RightOperate, "ImportCopy": app.RightOperate,

	"Start/restore":   app.RightRollback,
	"Start/promotion": app.RightPromote,
	"Start/rollback":  app.RightRollback,
	"Start/rehearsal": app.RightRehearse,
	"Start/glass":     app.RightBreakGlass, // as well as that of its kind
	"Cancel":          app.RightRollback,
	"Review":          app.RightBreakGlass,

	// What stands in a schema, the texts of functions and defaults included, is for those who decide what leaves production:
	// the rules of a mask are a part of the policy.
	"Shape": app.RightApply,

	"Apply":        app.RightApply,
	"Apply/dry":    RightRead,
	"TakeStanding": app.RightApply,
	"RotateKey":    app.RightApply,
	"RevokeKey":    app.RightApply,
}

// right is the row of that name.
func right(row string) app.Right {
	if r, ok := rights[row]; ok {
		return r
	}
	return RightOwner
}

// startRows are the rows of the table that a run needs, all of them.
func startRows(r RunRequest) []string {
	rows := []string{"Start/" + string(r.Kind)}
	if r.BreakGlass || r.HalfMigrated {
		rows = append(rows, "Start/glass")
	}
	if r.Kind != plan.Promotion && r.Kind != plan.Rollback && r.Kind != plan.Rehearsal && r.Kind != plan.Restore {
		rows = []string{"Start"} // which has no row
	}
	return rows
}
