package oauth

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/authority"
)

// refreshPrefix is there for secret scanners, as a token's is.
const refreshPrefix = "exr_"

// A refresh token is a prefix, the app session, how often its token has been replaced, and an authentication code of
// these. Nothing of it is stored, and whichever of an app session's refresh tokens is presented, it is known which one.
const refreshBody = 16 + 16 + 8

// newRefreshToken returns the refresh token of an app session with that count.
func (s *Service) newRefreshToken(account exeunt.AccountID, app exeunt.AppSessionID, count int64) string {
	a, p := account.Raw(), app.Raw()
	b := binary.BigEndian.AppendUint64(append(a[:], p[:]...), uint64(count))
	body := base64.RawURLEncoding.EncodeToString(b)
	return refreshPrefix + body + s.Refreshes.Code(refreshPrefix+body)
}

// parseRefreshToken returns what a refresh token is about; ok is false if we did not make it.
func (s *Service) parseRefreshToken(text string) (in authority.AppRefresh, ok bool) {
	rest, found := strings.CutPrefix(text, refreshPrefix)
	split := base64.RawURLEncoding.EncodedLen(refreshBody)
	if !found || len(rest) < split || !s.Refreshes.IsCode(refreshPrefix+rest[:split], rest[split:]) {
		return in, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest[:split])
	if err != nil || len(b) != refreshBody {
		return in, false
	}
	in.Account.SetRaw([16]byte(b[:16]))
	in.App.SetRaw([16]byte(b[16:32]))
	in.Count = int64(binary.BigEndian.Uint64(b[32:]))
	return in, true
}

// Refresh replaces the token of an app session by one of its refresh tokens. ErrCodeSpent when that is of no use,
// whatever the cause; the other errors are those of authority.Refresh.
func (s *Service) Refresh(ctx context.Context, c exeunt.Client, refreshToken string) (Tokens, error) {
	in, ok := s.parseRefreshToken(refreshToken)
	if !ok {
		return Tokens{}, exeunt.ErrCodeSpent
	}
	if err := s.admits(ctx, c, in.Account); err != nil {
		return Tokens{}, err
	}
	in.Client, in.Life = c.ID, c.LifeOfTokens()
	token, app, ans, err := s.Authority.Refresh(ctx, in)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{
		Access: token, Refresh: Secret(s.newRefreshToken(in.Account, in.App, in.Count+1)), Scopes: app.Scopes,
		Answer: ans,
	}, nil
}

// OfRefreshToken returns the app session that a refresh token of the client is for, to end it; ok is false for any other
// text.
func (s *Service) OfRefreshToken(ctx context.Context, c exeunt.Client, text string) (app exeunt.AppSession, ok bool, err error) {
	in, ok := s.parseRefreshToken(text)
	if !ok {
		return app, false, nil
	}
	app, err = s.Authority.AppSession(ctx, in.Account, in.App)
	if exeunt.CodeOf(err) == exeunt.ErrNotFound.Code {
		return app, false, nil
	}
	return app, err == nil && app.Client == c.ID, err
}
