package oauth

import (
	"context"
	"encoding/json"

	"github.com/exeunt/exeunt/client/receipt"
	"github.com/exeunt/exeunt/internal/keys"
	"github.com/exeunt/exeunt/internal/store"
)

// receiptAlg is how receipts are signed: every library that reads JSON Web Signatures knows it.
const receiptAlg = keys.RS256

// SignReceipt signs a receipt's statement with the key that signs ID and logout tokens. First the key's public half is
// stored for good: those tokens are valid for as long as the key is published, and a receipt for longer.
func (s *Service) SignReceipt(ctx context.Context, statement []byte) (string, error) {
	return s.Signers.SignKept(string(receiptAlg), receipt.Type, statement, func(id string, public []byte) error {
		if _, kept := s.kept.Load(id); kept {
			return nil
		}
		err := s.store.KeepReceiptKey(ctx, store.ReceiptKey{ID: id, Key: public, Created: s.Now()})
		if err == nil {
			s.kept.Store(id, true)
		}
		return err
	})
}

// ReceiptKeys returns, as a JSON Web Key Set, the public keys that receipts were ever signed with and those that they
// may be signed with next.
func (s *Service) ReceiptKeys(ctx context.Context) ([]byte, error) {
	type keySet struct {
		Keys []json.RawMessage `json:"keys"`
	}
	text, err := s.Signers.JWKSOf(receiptAlg)
	if err != nil {
		return nil, err
	}
	var present, all keySet
	if err := json.Unmarshal(text, &present); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, k := range present.Keys {
		var named struct {
			ID string `json:"kid"`
		}
		if err := json.Unmarshal(k, &named); err != nil {
			return nil, err
		}
		seen[named.ID], all.Keys = true, append(all.Keys, k)
	}
	kept, err := s.store.ReceiptKeys(ctx)
	for _, k := range kept {
		if !seen[k.ID] {
			all.Keys = append(all.Keys, k.Key)
		}
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(all)
}
