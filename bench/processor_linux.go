package bench

// processorName is empty where the kernel does not tell.
func processorName() string {
	all, err := proc.CPUInfo()
	if err != nil || len(all) == 0 {
		return ""
	}
	return all[0].ModelName
}
