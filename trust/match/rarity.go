package match

// byteRarity says how rare a byte is once bit 5 is set: -8 times the binary logarithm of its share, measured over
// 164 MB of programs, libraries, scripts, documentation and sources of a Linux distribution. It only orders grams by
// the work they cause; no result depends on it. Indexed by foldedIndex.
var byteRarity = [128]uint8{
	18, 56, 48, 63, 58, 64, 67, 64, 55, 50, 47, 69, 53, 61, 53, 52, // 0x20
	54, 58, 61, 62, 62, 65, 63, 67, 63, 66, 57, 71, 66, 63, 66, 71, // 0x30
	66, 40, 56, 46, 46, 34, 51, 54, 49, 41, 67, 62, 45, 50, 41, 42, // 0x60
	48, 67, 40, 40, 37, 48, 58, 61, 57, 58, 67, 62, 66, 61, 74, 57, // 0x70
	68, 73, 75, 69, 68, 70, 73, 75, 72, 64, 76, 66, 73, 69, 75, 75, // 0xa0
	70, 75, 76, 75, 74, 75, 75, 74, 72, 75, 75, 75, 74, 75, 74, 75, // 0xb0
	66, 71, 73, 71, 72, 72, 74, 73, 68, 72, 76, 74, 73, 76, 74, 73, // 0xe0
	66, 71, 74, 72, 74, 76, 75, 73, 70, 75, 71, 75, 73, 73, 72, 56, // 0xf0
}
