package corpus

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"math/rand/v2"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/blake2b"
)

// Program is an ELF64 executable for Linux that exits with status 0 on its first instructions and carries rodata. It
// has one loadable segment and the sections .text, .rodata and .shstrtab.
func Program(platform ocispec.Platform, rodata []byte) []byte {
	const (
		base       = 0x400000
		headers    = 64 + 56 // file header and one program header
		sectionLen = 64
	)
	machine, text := elf.EM_X86_64, []byte{
		0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
		0x31, 0xff, //        xor edi, edi
		0x0f, 0x05, //        syscall
	}
	if platform.Architecture == "arm64" {
		machine, text = elf.EM_AARCH64, []byte{
			0x00, 0x00, 0x80, 0xd2, // mov x0, #0
			0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93 (exit)
			0x01, 0x00, 0x00, 0xd4, // svc #0
		}
	}
	names := []byte("\x00.text\x00.rodata\x00.shstrtab\x00")
	dataAt := uint64(headers + len(text))
	namesAt := dataAt + uint64(len(rodata))
	sectionsAt := (namesAt + uint64(len(names)) + 7) &^ 7
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Shoff: sectionsAt,
		Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: sectionLen, Shnum: 4, Shstrndx: 3,
	}
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base,
		Filesz: namesAt, Memsz: namesAt, Align: 0x1000,
	}
	sections := [4]elf.Section64{
		{},
		{
			Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR),
			Addr: base + headers, Off: headers, Size: uint64(len(text)), Addralign: 1,
		},
		{
			Name: 7, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC),
			Addr: base + dataAt, Off: dataAt, Size: uint64(len(rodata)), Addralign: 1,
		},
		{Name: 15, Type: uint32(elf.SHT_STRTAB), Off: namesAt, Size: uint64(len(names)), Addralign: 1},
	}
	var b bytes.Buffer
	write := func(v any) {
		// Fixed-size values into memory: cannot fail.
		_ = binary.Write(&b, binary.LittleEndian, v)
	}
	write(header)
	write(segment)
	b.Write(text)
	b.Write(rodata)
	b.Write(names)
	b.Write(make([]byte, sectionsAt-uint64(b.Len())))
	write(sections)
	return b.Bytes()
}

// Miner is a program that carries what every build of XMRig carries: RandomX's constants and the texts of help and log.
func Miner(platform ocispec.Platform) []byte {
	return Program(platform, rodata(RandomXConstants(), minerStrings))
}

// Ordinary is a program that does nothing and says ordinary things.
func Ordinary(rng *rand.Rand, platform ocispec.Platform, name string) []byte {
	return ordinary(rng, platform, name)
}

// randomXLabels are the texts whose hashes are RandomX's constants: nothing-up-my-sleeve numbers that every
// implementation has to carry.
var randomXLabels = []string{
	"RandomX AesHash1R state", "RandomX AesGenerator1R keys", "RandomX AesGenerator4R keys 0-3", "RandomX AesGenerator4R keys 4-7",
}

// RandomXConstants are the constants of RandomX's AES functions, as a compiler lays them out.
func RandomXConstants() []byte {
	constants := hashes(randomXLabels)
	keys := blake2b.Sum256([]byte("RandomX AesHash1R xkeys"))
	return append(constants, keys[:]...)
}

// hashes are the Blake2b-512 sums of labels, one after the other.
func hashes(labels []string) []byte {
	var out []byte
	for _, label := range labels {
		sum := blake2b.Sum512([]byte(label))
		out = append(out, sum[:]...)
	}
	return out
}

// minerStrings are texts of XMRig's help and log, which it carries whatever it is renamed to.
var minerStrings = []string{
	"XMRig 0.0.0 (inert sample)",
	"  -o, --url=URL                 URL of mining server",
	"  -u, --user=USERNAME           username for mining server",
	"      --rig-id=ID               rig identifier for pool-side statistics (needs pool support)",
	"      --donate-level=N          donate level, default 1%% (1 minute in 100 minutes)",
	"      --donate-over-proxy=N     control donate over xmrig-proxy feature",
	"      --tls-fingerprint=HEX     pool TLS certificate fingerprint for strict certificate pinning",
	"      --self-select=URL         self-select block templates from URL",
	"      --randomx-1gb-pages       use 1GB hugepages for RandomX dataset (Linux only)",
	"      --randomx-wrmsr=N         write custom value(s) to MSR registers or disable MSR mod (-1)",
	"      --huge-pages-jit          enable huge pages support for RandomX JIT code",
	"      --cpu-max-threads-hint=N  maximum CPU threads count (in percentage) hint for autoconfig",
	"no valid configuration found, try https://xmrig.com/wizard",
	"FAILED TO APPLY MSR MOD, HASHRATE WILL BE LOW",
	"no active pools, stop mining",
	"dev donate started",
	"|    CPU # | AFFINITY | 10s H/s | 60s H/s | 15m H/s |",
	"donate.v2.xmrig.com",
	"donate.ssl.xmrig.com",
	`{"id":%lld,"jsonrpc":"2.0","method":"keepalived","params":{"id":"%s"}}`,
	"mining.subscribe", "mining.authorize", "mining.submit", "mining.notify",
	"stratum+tcp://", "stratum+ssl://",
	"rx/0", "rx/wow", "rx/arq", "rx/graft", "cn/r", "cn/half", "cn-lite/1", "cn-heavy/xhv", "cn-pico/tlo", "argon2/chukwa", "kawpow", "ghostrider",
	"RandomX\x03", "RandomWOW\x01", "RandomARQ\x01",
}

// serverStrings are texts of an ordinary web server.
var serverStrings = []string{
	"httpd 0.0.0 (inert sample)",
	"  -c FILE     configuration file",
	"  -u USER     run as this user",
	"  -o FILE     write the access log to this file",
	"  -t          test the configuration and exit",
	"Content-Length", "Transfer-Encoding", "Accept-Encoding", "If-None-Match",
	"worker_processes", "worker_connections", "keepalive_timeout", "client_max_body_size",
	"upstream prematurely closed connection while reading response header",
	"could not build optimal proxy_headers_hash",
	`{"time":"%s","status":%d,"bytes":%lld,"request":"%s"}`,
	"/etc/httpd/httpd.conf", "/var/log/httpd/access.log", "/var/run/httpd.pid",
	"TLSv1.2", "TLSv1.3", "http/1.1", "h2",
}

// rodata lays constants and strings out as a linker does.
func rodata(constants []byte, texts []string) []byte {
	out := bytes.Clone(constants)
	for _, s := range texts {
		out = append(append(out, s...), 0)
	}
	return out
}
