package signin

import "github.com/exeunt/exeunt"

// Step is what comes next for somebody who proves who they are: they have proved it,
// or more is needed. If they are refused, there is an error instead.
type Step struct {
	proof exeunt.Proof
	needs exeunt.Method // the method that is needed next; "" when they have proved it
}

// Proof returns a step's proof, for callers that cannot ask for more: if more is
// needed, they get a FieldError. Its arguments are the results of Password or Confirm.
func Proof(s Step, err error) (exeunt.Proof, error) {
	switch {
	case err != nil:
		return exeunt.Proof{}, err
	case s.needs != "":
		return exeunt.Proof{}, &exeunt.FieldError{Field: "current", Code: "needed", Err: errNeeded}
	}
	return s.proof, nil
}

var errNeeded = &exeunt.Error{Code: "needed", Message: "Type your current password as well. Nothing was changed."}
