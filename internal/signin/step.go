package signin

import "github.com/exeunt/exeunt"

// Step is what comes next for somebody who proves who they are, unless they are
// refused, which is an error: either they have proved it, or more is needed.
type Step struct {
	proof exeunt.Proof
	needs exeunt.Method // by which they have to prove it next; "" when nothing more is needed
}

// Proof returns what a step has proved, for callers that cannot ask for more: what
// is needed is an error to them, a FieldError for the form that has such a field.
// It takes what Password or Confirm returned as it is.
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
