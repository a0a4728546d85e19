package passkey

import "encoding/hex"

// models are what people call the password managers that they keep passkeys in, by AAGUID as their makers publish it.
// Another one is called after the browser.
var models = map[string]string{
	"ea9b8d664d011d213ce4b6b48cb575d4":      "Google Password Manager",
	"fbfc3007154e4ecc8c0b6e020557d7bd":      "Apple Passwords",
	"dd4ec289e01d41c9bb8970fa845d4bf2":      "Apple Passwords",
	"08987058cadc4b81b6e130de50dcbe96":      "Windows Hello",
	"9ddd1817af5a4672a2b93e3dd95000a9":      "Windows Hello",
	"6028b017b1d44c02b4b3afcdafc96bb2":      "Windows Hello",
	"bada5566a7aa401fbd9645619a55120d":      "1Password",
	"d548826e79b4db40a3d811116f7e8349":      "Bitwarden",
	"531126d6e717415c93203d9aa6981239":      "Dashlane",
	"fdb141b25d84443e8a354698c205a502":      "KeePassXC",
	"50726f746f6e50617373" + "50726f746f6e": "Proton Pass",
	"53414d53554e47" + "000000000000000000": "Samsung Pass",
}

// Model is what people call the authenticator's model, "" if it is not known.
func (k Key) Model() string { return models[hex.EncodeToString(k.AAGUID)] }
