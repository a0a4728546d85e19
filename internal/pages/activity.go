package pages

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

func (p *Pages) activity(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	return p.showActivity(w, r, v, http.StatusOK, nil)
}

func (p *Pages) showActivity(w http.ResponseWriter, r *http.Request, v web.Visitor, status int, wrong error) error {
	done, err := p.Authority.Listing(r.Context(), v.Answer.Account)
	if err != nil {
		return err
	}
	defer done()
	view, f := p.activityOf(r, v)
	list, err := p.Authority.Audit(r.Context(), f)
	if err != nil {
		return err
	}
	if view.Proof, err = p.proof(r.Context(), v, wrong); err != nil {
		return err
	}
	view.Entries, view.Next, view.Err = list.Items, string(list.Next), wrong
	return p.show(w, status, view)
}

// activityOf returns what the address asks for, and the view of it, still without entries.
func (p *Pages) activityOf(r *http.Request, v web.Visitor) (*ui.ActivityView, exeunt.AuditFilter) {
	kind, after := r.FormValue("kind"), r.URL.Query().Get("after")
	if !slices.Contains(ui.ActivityKinds, kind) {
		kind = ""
	}
	return &ui.ActivityView{
			Frame: p.frame(r, v, ui.NavActivity), Part: ui.Part{List: "/activity", Kind: kind, After: after},
			KeptFor: p.Retention.Audit, MaxDownload: authority.MaxDownload,
			Clients: p.OAuth.Clients(),
		}, exeunt.AuditFilter{Account: v.Answer.Account, Only: ui.OfKind(kind), After: exeunt.Cursor(after),
			Limit: pageLen}
}

// activityDownload is a download for somebody who has to prove who they are first: a history tells where people live
// and when they are away.
func (p *Pages) activityDownload(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	if mayNotStay(v, r.PostFormValue("stays")) {
		return redirect(w, "/activity#download")
	}
	proving, file := p.proving(r, v), p.activityCSV
	switch r.PostFormValue("format") {
	case "csv":
	case "json":
		file = p.activityJSON
	default:
		return fmt.Errorf("format: %w", exeunt.ErrBadRequest)
	}
	_, err := proving.prove(r.Context())
	if status := refusal(w, err); status != 0 {
		return p.showActivity(w, r, v, status, err)
	}
	if err != nil {
		return err
	}
	proving.done(w, exeunt.Token{})
	return file(w, r, v)
}

// activityFile is a download by a link, which the page has while the last proof is fresh.
func (p *Pages) activityFile(file page) page {
	return func(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
		proof, err := p.proof(r.Context(), v, nil)
		if err != nil {
			return err
		}
		if proof.Needed || mayNotStay(v, r.URL.Query().Get("stays")) {
			return redirect(w, (&url.URL{Path: "/activity", RawQuery: r.URL.RawQuery, Fragment: "download"}).String())
		}
		return file(w, r, v)
	}
}

// mayNotStay reports whether a file would stay on a shared computer without anybody having said that it may.
func mayNotStay(v web.Visitor, stays string) bool {
	return v.Answer.Kind == exeunt.KindShared && stays != "yes"
}

// download reads what a file is made of, and sets its headers.
func (p *Pages) download(
	w http.ResponseWriter, r *http.Request, v web.Visitor, name, contentType string,
) (list []ui.ActivityRecord, older bool, err error) {
	view, f := p.activityOf(r, v)
	if view.Entries, older, err = p.Authority.Download(r.Context(), f); err != nil {
		return nil, false, err
	}
	if list, err = p.UI.ActivityRecords(view); err != nil {
		return nil, false, err
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.WriteHeader(http.StatusOK)
	return list, older, nil
}

func (p *Pages) activityJSON(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	list, older, err := p.download(w, r, v, "activity.json", "application/json")
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	_ = out.Encode(struct {
		Entries []ui.ActivityRecord `json:"entries"` // newest first
		Older   bool                `json:"older"`   // there are older ones, which are not here
	}{list, older}) // the browser may have gone away
	return nil
}

func (p *Pages) activityCSV(w http.ResponseWriter, r *http.Request, v web.Visitor) error {
	list, _, err := p.download(w, r, v, "activity.csv", "text/csv; charset=utf-8")
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	_ = out.Write([]string{"time", "kind", "what", "why", "who", "where", "address"})
	for _, e := range list {
		cells := []string{e.Time, e.Kind, e.What, e.Why, e.Who, e.Where, e.Address}
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		_ = out.Write(cells)
	}
	out.Flush()
	return nil
}

// cell keeps a spreadsheet from taking a text for a formula: an app chooses how it is called.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
