package gpu

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

func rules(t *testing.T) Rules {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	return r
}

// weight: some names begin with the word that declares a kernel.
func weight(a Algorithm) trust.Strength {
	if strings.HasPrefix(a.Kernels[0], "__kernel") {
		return trust.Proof
	}
	return trust.Strong
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	r := rules(t)
	ind, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	exe, data, script, text := trust.KindExecutable, trust.KindData, trust.KindScript, trust.KindText
	symbols := func(a, n int) string {
		return "\x7fELF\x00" + strings.Join(r.Algorithms[a].Kernels[:n], "\x00") + "\x00"
	}
	source := "__kernel void " + strings.Join(r.Algorithms[0].Kernels, "(uint a) {}\n__kernel void ") + "(void) {}\n"
	samples := []indicatortest.Sample{
		{Name: "mangled", Path: "x", Kind: exe, Content: "\x7fELF\x00_Z13ethash_searchPVjm\x00_Z25ethash_calculate_dag_itemj\x00_Z19ethash_generate_dagm\x00", Want: trust.Strong},
		{Name: "fatbin-with-one", Path: "x", Kind: exe, Content: symbols(1, 1) + r.Sections[0], Want: trust.Weak},
		{Name: "kernel-cache", Path: "cache.bin", Kind: data, Content: symbols(2, 3), Want: trust.Strong},
		{Name: "python-with-kernel", Path: "m.py", Kind: script, Content: "src = '''" + source + "'''\n", Want: trust.Proof},
		{Name: "program-with-sources", Path: "x", Kind: exe, Content: "\x7fELF\x00" + source + "\x00", Want: trust.Proof},
		{Name: "cuda-in-data", Path: "x.bin", Kind: data, Content: "\x00__global__ void __launch_bounds__(128, 7) x11_luffa512_gpu_hash_64(int a)\nx11_cubehash512_gpu_hash x13_hamsi512_gpu_hash", Want: trust.Strong, IfRun: trust.Proof},
		{Name: "kernel-source", Path: "app/kernel.cl", Kind: text, Content: source, Want: trust.Weak, IfRun: trust.Proof},
	}
	for i, a := range r.Algorithms {
		samples = append(samples, indicatortest.Sample{Name: a.Name, Path: "x", Kind: exe, Content: symbols(i, minStrong), Want: weight(a)})
	}
	indicatortest.Run(t, ind, samples, []indicatortest.Twin{
		{Name: "two", Path: "x", Kind: exe, Content: symbols(0, 2)},
		{Name: "two-of-each", Path: "x", Kind: exe, Content: symbols(0, 2) + symbols(1, 2) + symbols(2, 2)},
		{Name: "one-often", Path: "x", Kind: exe, Content: strings.Repeat(symbols(0, 1), 20)},
		{Name: "tensor-library", Path: "libtorch_cuda.so", Kind: exe, Content: "\x7fELF\x00" + strings.Join(r.Sections, "\x00") + "\x00gemm_kernel\x00softmax_warp_forward\x00"},
		{Name: "password-recovery", Path: "OpenCL/m01000_a0-optimized.cl", Kind: text, Content: "KERNEL_FQ void m01000_m04 (KERN_ATTR_RULES ())\n{ md4_transform (w0, w1); }\n__kernel void gpu_memset(__global uint4 *buf) {}\n"},
		{Name: "documentation", Path: "usr/share/doc/ethminer/README.md", Kind: text, Content: source},
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	three := []string{"kernel_a", "kernel_b", "kernel_c"}
	for name, r := range map[string]Rules{
		"nothing":  {},
		"section":  {Algorithms: []Algorithm{{"x", three}}},
		"few":      {Algorithms: []Algorithm{{"x", three[:2]}}, Sections: three},
		"nameless": {Algorithms: []Algorithm{{"", three}}, Sections: three},
		"short":    {Algorithms: []Algorithm{{"x", []string{"a", "b", "c"}}}, Sections: three},
		"many":     {Algorithms: []Algorithm{{"x", make([]string, maxKernels+1)}}, Sections: three},
		"brief":    {Algorithms: []Algorithm{{"x", three}}, Sections: []string{"x"}},
	} {
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
