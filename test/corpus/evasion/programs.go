package evasion

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// programs carry an algorithm without the name of any miner.
func programs() []recipe {
	with := func(name, path string, body func(*kit) []byte) recipe {
		return recipe{group: "programs without a name", name: name, make: func(k *kit) imagetest.Image {
			return k.image([]string{"/" + path}, imagetest.Binary(path, body(k)))
		}}
	}
	const at = "usr/bin/worker"
	ordinary := func(k *kit) []byte { return corpus.Ordinary(k.rng, amd64, "worker") }
	constants := func(k *kit, change func([]byte) []byte) []byte {
		if !k.mining {
			return ordinary(k)
		}
		return corpus.Program(amd64, change(corpus.RandomXConstants()))
	}
	return []recipe{
		with("constants-alone", at, func(k *kit) []byte { return constants(k, bytes.Clone) }),
		with("big-endian", at, func(k *kit) []byte {
			return constants(k, func(p []byte) []byte {
				out := bytes.Clone(p)
				for i := 0; i+4 <= len(out); i += 4 {
					binary.BigEndian.PutUint32(out[i:], binary.LittleEndian.Uint32(p[i:]))
				}
				return out
			})
		}),
		with("operands", at, func(k *kit) []byte {
			return constants(k, func(p []byte) []byte {
				var out []byte
				for i := 0; i+4 <= len(p); i += 4 {
					out = append(append(out, 0xc7, 0x45, byte(i)), p[i:i+4]...) // mov dword [rbp+i], imm32
				}
				return out
			})
		}),
		with("webassembly", "srv/www/app.wasm", func(k *kit) []byte {
			out := []byte("\x00asm\x01\x00\x00\x00")
			p := corpus.RandomXConstants()
			if !k.mining {
				k.rngBytes(p)
			}
			for i := 0; i+4 <= len(p); i += 4 {
				out = append(out, 0x41)
				out = appendSigned(out, int32(binary.LittleEndian.Uint32(p[i:])))
			}
			return out
		}),
		with("python-port", "opt/app/hash.py", func(k *kit) []byte {
			p := corpus.RandomXConstants()
			if !k.mining {
				k.rngBytes(p)
			}
			var b strings.Builder
			b.WriteString("#!/usr/bin/env python3\nraise SystemExit(0)\nKEYS = [\n")
			for i := 0; i+4 <= len(p); i += 4 {
				fmt.Fprintf(&b, "    0x%08x,\n", binary.LittleEndian.Uint32(p[i:]))
			}
			b.WriteString("]\n")
			return []byte(b.String())
		}),
		with("kawpow", at, func(k *kit) []byte {
			var out []byte
			for _, c := range either(k, "rAVENCOINKAWPOW", "rELEASECANDIDAT") {
				out = binary.LittleEndian.AppendUint32(out, uint32(c))
			}
			return corpus.Program(amd64, append(out, either(k, "mining.subscribe\x00mining.authorize\x00mining.submit\x00mining.notify\x00stratum+tcp://\x00", "GET\x00POST\x00HEAD\x00PUT\x00https://\x00")...))
		}),
		with("stratum-client", at, func(k *kit) []byte {
			return corpus.Program(amd64, []byte(either(k,
				`{"id":%d,"jsonrpc":"2.0","method":"login","params":{"login":"%s","pass":"%s","agent":"%s","algo":["rx/0"]}}`+"\x00"+`{"id":%d,"jsonrpc":"2.0","method":"submit","params":{"id":"%s","job_id":"%s","nonce":"%s","result":"%s"}}`+"\x00"+`{"id":%d,"jsonrpc":"2.0","method":"keepalived","params":{"id":"%s"}}`+"\x00stratum+tcp://"+k.pool+"\x00"+k.wallet+"\x00",
				`{"id":%d,"jsonrpc":"2.0","method":"tools/list","params":{"cursor":"%s"}}`+"\x00"+`{"id":%d,"jsonrpc":"2.0","method":"ping"}`+"\x00https://api.contoso.example\x00")))
		}),
		with("opencl", "opt/app/kernel.cl", func(k *kit) []byte {
			return []byte(either(k,
				"__kernel void ethash_search(__global volatile uint* restrict g_output, __constant hash32_t const* g_header, __global hash128_t const* g_dag, ulong start_nonce, ulong target) { }\n__kernel void ethash_calculate_dag_item(uint start, __global hash64_t const* g_light) { }\n__kernel void GenerateDAG(uint start) { }\n",
				"__kernel void blur(__global const uchar4* in, __global uchar4* out, int width) { }\n__kernel void sharpen(__global const uchar4* in) { }\n"))
		}),
	}
}

func (k *kit) rngBytes(p []byte) {
	for i := range p {
		p[i] = byte(k.rng.Uint32())
	}
}

// appendSigned is signed LEB128, as WebAssembly writes constants.
func appendSigned(out []byte, v int32) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

// distances are constants that all stand a multiple of three bytes apart, from each place that they may begin at.
func distances() (list []recipe) {
	for begin, name := range []string{"nine-apart", "nine-apart-and-one", "nine-apart-and-two"} {
		list = append(list, recipe{group: "programs without a name", name: name, make: func(k *kit) imagetest.Image {
			body := corpus.Ordinary(k.rng, amd64, "worker")
			if k.mining {
				body = corpus.Program(amd64, spaced(corpus.RandomXConstants(), 5, begin))
			}
			return k.image([]string{"/usr/bin/worker"}, imagetest.Binary("usr/bin/worker", body))
		}})
	}
	return list
}

// spaced are words with n bytes before each, behind a few more.
func spaced(p []byte, n, begin int) []byte {
	out := make([]byte, begin)
	for i := 0; i+4 <= len(p); i += 4 {
		out = append(append(out, make([]byte, n)...), p[i:i+4]...)
	}
	return out
}
