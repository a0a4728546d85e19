package control

import (
	"net/http"

	"github.com/exeunt/exeunt/internal/account"
)

// MaxBatch is how large a batch of an import may be, in bytes of JSON.
const MaxBatch = 8 << 20

// MaxBatchRows is how many rows a batch has at most.
const MaxBatchRows = account.MaxImportRows

// importAccounts imports a part of a file. The command reads the file, and sends one part after the other.
func (s *Server) importAccounts(w http.ResponseWriter, r *http.Request) error {
	var in ImportBatch
	if err := readLong(w, r, &in, MaxBatch); err != nil {
		return err
	}
	rows := make([]account.ImportRow, len(in.Rows))
	for i, v := range in.Rows {
		rows[i] = account.ImportRow(v)
	}
	done, err := s.Accounts.ImportAccounts(r.Context(), operator(r), rows, account.ImportHow{Apply: in.Apply,
		EmailConfirmed: in.EmailConfirmed, Links: in.Links, Mail: in.Mail})
	if err != nil {
		return err
	}
	out := ImportResults{Results: []ImportResult{}}
	for i := range done {
		o := &done[i]
		v := ImportResult{Line: o.Line, Handle: o.Handle, State: string(o.State), Differs: o.Differs, Why: o.Why,
			Remedy: o.Remedy, ByLink: o.ByLink, Mailed: o.Mailed, NoPassword: o.NoPassword}
		if !o.Link.IsZero() {
			v.Link = s.ResetLink(o.Link)
		}
		out.Results = append(out.Results, v)
	}
	return reply(w, out)
}
