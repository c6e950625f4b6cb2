package handoff

import (
	"encoding/binary"
	"math"
)

var le = binary.LittleEndian

func appendBytes[T string | []byte](b []byte, p T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(p))), p...)
}

// beginRecord starts a record; finishRecord fills in its length.
func beginRecord(b []byte, kind byte) (_ []byte, start int) {
	return append(b, 0, 0, 0, 0, kind), len(b)
}

func finishRecord(b []byte, start int) []byte {
	le.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// Append appends r to b as a record.
func (r *Server) Append(b []byte) []byte {
	b, start := beginRecord(b, kindServer)
	b = le.AppendUint64(le.AppendUint64(b, uint64(r.Frozen)), uint64(r.Uptime))
	b = le.AppendUint64(le.AppendUint64(b, r.Publishes), r.Panics)
	b = binary.AppendUvarint(b, uint64(len(r.Counters)))
	for _, c := range r.Counters {
		b = le.AppendUint64(appendBytes(b, c.Name), c.Value)
	}
	return finishRecord(b, start)
}

// Append appends r to b as a record.
func (r *Frame) Append(b []byte) []byte {
	b, start := beginRecord(b, kindFrame)
	b = le.AppendUint64(b, uint64(r.Left))
	b = appendBytes(appendBytes(b, r.Coalesce), r.Frame)
	return finishRecord(b, start)
}

// Append appends r to b as a record.
func (r *Client) Append(b []byte) []byte {
	b, start := beginRecord(b, kindClient)
	b = append(append(b, r.ID[:]...), r.Addr[:]...)
	b = le.AppendUint16(b, r.Port)
	b = le.AppendUint64(le.AppendUint64(b, uint64(r.Age)), uint64(r.Silence))
	b = append(b, byte(r.State), byte(r.Flags))
	b = append(b, r.Conn[:]...)
	for _, f := range r.Buckets {
		b = le.AppendUint32(b, math.Float32bits(f))
	}
	b = le.AppendUint32(b, r.Refilled)
	b = appendBytes(appendBytes(b, r.Leftover), r.Waiting)
	b = binary.AppendUvarint(b, uint64(len(r.Topics)))
	for _, name := range r.Topics {
		b = appendBytes(b, name)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Queue)))
	for i := range r.Queue {
		b = r.Queue[i].append(b)
	}
	if r.MessageAge != 0 {
		b = append(b, tagMessageAge, 8)
		b = le.AppendUint64(b, uint64(r.MessageAge))
	}
	return finishRecord(r.appendRare(b), start)
}

// appendRare appends the fields that say who the client is, and through what proxy it
// came, in the order of their tags.
func (r *Client) appendRare(b []byte) []byte {
	if r.WarnExpiry {
		b = append(b, tagWarnExpiry, 0)
	}
	if r.Known {
		b = appendBytes(append(b, tagUser), r.User)
		b = appendNumber(b, tagExpires, uint64(r.Expires))
		if len(r.Grants) > 0 {
			b = appendBytes(append(b, tagGrants), r.Grants)
		}
		b = appendNumber(b, tagToken, r.Token)
	}
	if r.Proxy != 0 {
		b = append(b, tagProxy, 1, byte(r.Proxy))
	}
	if r.Known {
		b = appendNumber(b, tagIssued, uint64(r.Issued))
	}
	if r.Unproven {
		b = append(b, tagUnproven, 0)
	}
	return b
}

// appendNumber appends a field of a number, unless that is 0.
func appendNumber(b []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	return le.AppendUint64(append(b, tag, 8), n)
}

func (q *Queued) append(b []byte) []byte {
	b = append(le.AppendUint64(b, uint64(q.Age)), byte(q.Flags))
	if q.Flags&QueuedShared == 0 {
		return appendBytes(b, q.Data)
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, q.Frame), q.Left)
}

// Append appends r to b as a record.
func (r *Blob) Append(b []byte) []byte {
	kind := byte(kindBlob)
	if r.Needed {
		kind = kindNeeded
	}
	b, start := beginRecord(b, kind)
	return finishRecord(append(appendBytes(b, r.Name), r.Value...), start)
}

// Append appends r to b as a record.
func (r *End) Append(b []byte) []byte {
	b, start := beginRecord(b, kindEnd)
	return finishRecord(le.AppendUint64(le.AppendUint64(b, r.Clients), r.Frames), start)
}
