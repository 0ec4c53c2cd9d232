package rootfs

import "hash/maphash"

// table finds nodes by the folder that they are in and their names. It is one array, so that a copy costs little.
type table struct {
	// slots have the numbers of nodes; zero is a free slot, removed one that was used.
	slots []int32
	used  int // slots that are not free
	seed  maphash.Seed
	salt  uint64 // odd, secret
}

const removed = -1

// mix spreads the numbers of folders over all bits: 2^64 by the golden ratio.
const mix = 0x9E3779B97F4A7C15

func newTable() table {
	seed := maphash.MakeSeed()
	return table{seed: seed, salt: maphash.String(seed, "") | 1}
}

// hash cannot be foreseen by who makes the names.
func (t *table) hash(parent int32, name string) uint32 {
	h := maphash.String(t.seed, name) ^ uint64(parent)*mix //nolint:gosec // numbers of nodes are not negative
	return uint32(h * t.salt >> 32)                        //nolint:gosec // half of the bits
}

// find is the node of a name in a folder; zero if there is none.
func (t *table) find(nodes []node, parent int32, name string) int32 {
	if len(t.slots) == 0 {
		return 0
	}
	h := t.hash(parent, name)
	for at := int(h) & (len(t.slots) - 1); ; at = (at + 1) & (len(t.slots) - 1) {
		id := t.slots[at]
		if id == 0 {
			return 0
		}
		if id == removed {
			continue
		}
		if n := &nodes[id]; n.hash == h && n.parent == parent && n.name == name {
			return id
		}
	}
}

// add takes the last of nodes, whose name is not in its folder yet.
func (t *table) add(nodes []node) {
	id := int32(len(nodes) - 1) //nolint:gosec // about maxNodes at most
	nodes[id].hash = t.hash(nodes[id].parent, nodes[id].name)
	if 3*(t.used+1) > 2*len(t.slots) {
		t.grow(nodes, 1)
		return
	}
	t.put(id, nodes[id].hash)
}

// grow makes room for so many more nodes, and takes all of nodes that are not gone.
func (t *table) grow(nodes []node, more int) {
	size := 16
	for size < 2*(len(nodes)+more) {
		size *= 2
	}
	t.slots, t.used = make([]int32, size), 0
	for id := 1; id < len(nodes); id++ {
		if !nodes[id].gone {
			t.put(int32(id), nodes[id].hash) //nolint:gosec // about maxNodes at most
		}
	}
}

func (t *table) put(id int32, hash uint32) {
	at := int(hash) & (len(t.slots) - 1)
	for t.slots[at] != 0 {
		at = (at + 1) & (len(t.slots) - 1)
	}
	t.slots[at] = id
	t.used++
}

// remove takes a node out.
func (t *table) remove(nodes []node, id int32) {
	at := int(nodes[id].hash) & (len(t.slots) - 1)
	for t.slots[at] != id {
		at = (at + 1) & (len(t.slots) - 1)
	}
	t.slots[at] = removed
}
