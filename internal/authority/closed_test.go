package authority

import (
	"reflect"
	"testing"
)

// Whoever has an Authority cannot reach the store, the table or the feed around it.
func TestAnAuthorityIsClosed(t *testing.T) {
	for field := range reflect.TypeFor[Authority]().Fields() {
		if field.IsExported() {
			t.Errorf("the field %s of an Authority is open", field.Name)
		}
	}
}
