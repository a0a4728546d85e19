//go:build !linux

package doctor

// diskOf cannot tell anything here.
func diskOf(string) (disk, error) { return disk{free: 1 << 62, size: 1 << 62, files: 1 << 62}, nil }

func setByNetwork() (set, known bool) { return false, false }
