package factor

import (
	"fmt"
	"html"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// QR draws a text as a QR code in SVG: dark modules on a white ground, whatever the page's colours, since phones read
// that best. Its title is what screen readers say.
func QR(text, title string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("QR code: %w", err)
	}
	n := code.Bounds().Dx()
	const margin = 4 // modules, which readers need
	var path strings.Builder
	for y := range n {
		for x := range n {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+margin, y+margin)
			}
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="%[2]s" `+
		`shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="%[3]s"/></svg>`,
		n+2*margin, html.EscapeString(title), path.String()), nil
}
