package control

import (
	"net/http"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/fanout"
)

func webhookTotals(t exeunt.MessageTotals, name exeunt.WebhookName) WebhookTotals {
	return WebhookTotals{Name: string(name), Pending: t.Pending.Count, PendingAtLeast: t.Pending.AtLeast, Since: t.Since,
		Error: t.Error, GaveUp: t.GaveUp.Count, GaveUpAtLeast: t.GaveUp.AtLeast}
}

func webhookWire(v *fanout.WebhookState) Webhook {
	out := Webhook{WebhookTotals: webhookTotals(v.MessageTotals, v.Name), URL: v.URL, State: "well"}
	for _, t := range v.Events {
		out.Events = append(out.Events, string(t))
	}
	switch {
	case !v.Known:
		out.State = "unknown"
	case v.Open:
		out.State = "failing"
	}
	return out
}

func (s *Server) webhooks(w http.ResponseWriter, r *http.Request) error {
	list, err := s.Operate.Webhooks(r.Context(), operator(r))
	if err != nil {
		return err
	}
	out := Page[Webhook]{Items: []Webhook{}, Total: int64(len(list))}
	for i := range list {
		out.Items = append(out.Items, webhookWire(&list[i]))
	}
	return reply(w, out)
}

func (s *Server) testWebhook(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	said, err := s.Operate.TestWebhook(r.Context(), operator(r), exeunt.WebhookName(name))
	if err != nil {
		return notFoundAs(err, "there is no webhook "+name+": look at `exeunt webhooks list`")
	}
	s.Surface.Log.Info("an operator tests a webhook", "webhook", name, "status", said.Status, "by", operator(r).Label)
	return reply(w, WebhookAnswer{Confirmed: said.Error == "", Status: said.Status, Error: said.Error, Body: said.Body,
		Millis: said.Took.Milliseconds()})
}
