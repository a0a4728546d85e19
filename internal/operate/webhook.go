package operate

import (
	"context"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/fanout"
)

// Webhooks says how it stands with each webhook.
func (s *Service) Webhooks(ctx context.Context, by exeunt.Actor) ([]fanout.WebhookState, error) {
	if err := check(by); err != nil {
		return nil, err
	}
	return s.Fanout.States(ctx)
}

// TestWebhook sends a ping to a webhook, once. It returns ErrNotFound if this node's configuration file has none of that
// name.
func (s *Service) TestWebhook(ctx context.Context, by exeunt.Actor, name exeunt.WebhookName) (fanout.Said, error) {
	if err := check(by); err != nil {
		return fanout.Said{}, err
	}
	return s.Fanout.Test(ctx, name)
}
