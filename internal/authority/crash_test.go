package authority

const crashChild = "EXEUNT_TEST_CRASH_CHILD"

func runCrashChild(path string) {}
