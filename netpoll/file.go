package netpoll

// FileID is a file, whatever it is called now: device and inode. The zero value
// is none. While its socket is open, no other file can have the same.
type FileID struct{ Dev, Ino uint64 }
