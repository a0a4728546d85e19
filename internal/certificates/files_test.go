package certificates

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a new self-signed pair with that serial number.
func writePair(t *testing.T, cert, key string, serial int64, at time.Time) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if name == "" {
			continue
		}
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// A renewed certificate is used without a restart; one that cannot be used leaves the old one.
func TestARenewedCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	at := time.Now().Add(-time.Hour)
	writePair(t, cert, key, 1, at)
	var said bytes.Buffer
	c, err := openPair(Files{cert, key}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want int64) {
		t.Helper()
		c.looked = time.Time{}
		if got := c.get().Leaf.SerialNumber.Int64(); got != want {
			t.Errorf("it serves certificate %d, not %d", got, want)
		}
	}
	serves(1)
	writePair(t, cert, "", 2, at.Add(time.Minute)) // the key comes a moment later
	serves(1)
	serves(1)
	if n := strings.Count(said.String(), "level=WARN"); n != 1 {
		t.Errorf("it warned %d times: %s", n, &said)
	}
	writePair(t, cert, key, 3, at.Add(2*time.Minute))
	serves(3)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	serves(3)
	if _, err := openPair(Files{cert, key}, slog.Default()); err == nil {
		t.Error("a start without the key succeeds")
	}
}
