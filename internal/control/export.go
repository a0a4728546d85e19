package control

import (
	"net/http"
)

// beginExport tells what an export is made of. The command then reads one section after the other, page by page.
func (s *Server) beginExport(w http.ResponseWriter, r *http.Request) error {
	now := s.Accounts.Now()
	a, sections, err := s.Operate.BeginExport(r.Context(), operator(r), r.PathValue("handle"), now)
	if err != nil {
		return s.noAccount(r, err, r.PathValue("handle"))
	}
	s.Surface.Log.Info("an operator exports what is stored about a person", "account", a.ID, "by", operator(r).Label)
	return reply(w, Export{Handle: a.Handle, Issuer: s.URL, Made: now.UTC(), Sections: sections})
}

func (s *Server) exported(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := paging(r)
	if err != nil {
		return err
	}
	p, err := s.Operate.Exported(r.Context(), operator(r), r.PathValue("handle"), r.PathValue("section"), after, limit)
	if err != nil {
		return s.noAccount(r, err, r.PathValue("handle"))
	}
	return reply(w, Page[map[string]any]{Items: p.Items, Next: string(p.Next)})
}
