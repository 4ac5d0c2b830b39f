package gpu

import (
	"fmt"
	"math"
)

// instructions are what is tried, what may end a process last. Layouts of fragments are those
// of the PTX ISA, and the same as in kernels/matmul_tensor.cl.
var instructions = []instruction{
	{
		name: "fma", items: 32, in: floats(32, nearOne),
		want: floats(32, func(i int) float64 { return nearOne(i)*nearOne(i) - 1 }), // exact, then rounded once
		body: `    const float a = as_float(in[i]);
    out[i] = as_uint(fma(a, a, -1.0f));`,
	},
	{
		name: "native_exp", items: 32, within: 1e-5, in: floats(32, quarters),
		want: floats(32, func(i int) float64 { return math.Exp(quarters(i)) }),
		body: `    out[i] = as_uint(native_exp(as_float(in[i])));`,
	},
	{
		name: "vload_half", items: 32, in: halfPairs(16), want: floats(32, whole),
		body: `    out[i] = as_uint(vload_half(i, (global const half *)in));`,
	},
	{name: "half, without a pragma", items: 32, in: halfPairs(16), want: floats(32, squared), body: halfBody},
	{name: "half, cl_khr_fp16", before: "#pragma OPENCL EXTENSION cl_khr_fp16 : enable", items: 32, in: halfPairs(16), want: floats(32, squared), body: halfBody},
	{
		name: "sub_group_reduce_add, cl_khr_subgroups", before: "#pragma OPENCL EXTENSION cl_khr_subgroups : enable", items: 32, in: upwards(32),
		want: repeated(32, 32*31/2),
		body: `    out[i] = sub_group_reduce_add(in[i]);`,
	},
	{
		name: "64 KB of local memory, declared", items: 32, in: upwards(32), want: fromLocal(),
		body: "    local uint extra[16384];\n" + localBody,
	},
	{name: "64 KB of local memory, an argument", items: 32, local: 1 << 16, in: upwards(32), want: fromLocal(), body: localBody},

	{
		name: "asm", items: 32, in: upwards(32), want: plus(32, 5),
		body: `    uint v;
    asm("add.u32 %0, %1, %2;" : "=r"(v) : "r"(in[i]), "r"(5));
    out[i] = v;`,
	},
	{
		name: "asm volatile, memory clobber", items: 32, in: upwards(32), want: plus(32, 5),
		body: `    uint v;
    asm volatile("add.u32 %0, %1, %2;" : "=r"(v) : "r"(in[i]), "r"(5) : "memory");
    out[i] = v;`,
	},
	{
		name: "shfl.sync.bfly", items: 32, in: upwards(32), want: generated(32, func(i int) uint32 { return uint32(i ^ 5) }),
		body: `    uint v;
    asm volatile("shfl.sync.bfly.b32 %0, %1, 5, 31, 0xffffffff;" : "=r"(v) : "r"(in[i]));
    out[i] = v;`,
	},
	{
		name: "redux.sync.add", items: 32, in: upwards(32), want: repeated(32, 32*31/2),
		body: `    uint v;
    asm volatile("redux.sync.add.u32 %0, %1, 0xffffffff;" : "=r"(v) : "r"(in[i]));
    out[i] = v;`,
	},
	{
		name: "ld.global.nc.v4", items: 32, in: upwards(128), want: upwards(128),
		body: `    uint a, b, c, d;
    asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(a), "=r"(b), "=r"(c), "=r"(d) : "l"((ulong)(in + 4 * i)));
    out[4 * i] = a;
    out[4 * i + 1] = b;
    out[4 * i + 2] = c;
    out[4 * i + 3] = d;`,
	},
	{
		name: "cvt.rna.tf32", items: 32, in: floats(32, nearOne),
		want: generated(32, func(i int) uint32 { return (math.Float32bits(float32(nearOne(i))) + 0x1000) &^ 0x1fff }),
		body: `    uint v;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(v) : "f"(as_float(in[i])));
    out[i] = v & 0xffffe000u;`,
	},
	{
		name: "cvt.rn.bf16x2", items: 32, in: floats(32, nearOne),
		want: generated(32, func(i int) uint32 { return bf16(nearOne(i)) | bf16(-nearOne(i))<<16 }),
		body: `    uint v;
    const float a = as_float(in[i]);
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(v) : "f"(-a), "f"(a));
    out[i] = v;`,
	},
	mma("m16n8k16 bf16", "m16n8k16.row.col.f32.bf16.bf16.f32", 2, func(v int) uint32 { return bf16(float64(v)) }, false),
	mma("m16n8k8 tf32", "m16n8k8.row.col.f32.tf32.tf32.f32", 1, func(v int) uint32 { return math.Float32bits(float32(v)) }, false),
	mma("m16n8k16 f16", "m16n8k16.row.col.f32.f16.f16.f32", 2, half, false),
	mma("m16n8k32 s8", "m16n8k32.row.col.s32.s8.s8.s32", 4, func(v int) uint32 { return uint32(uint8(v)) }, true),

	localAddress("local pointer as 32 bits", "(uint)(ulong)p", "r", "ld.shared.u32 %0, [%1];", false),
	localAddress("local pointer as 64 bits", "(ulong)p", "l", "ld.shared.u32 %0, [%1];", false),
	localAddress("local pointer made generic by cvta.shared", "(ulong)p", "l", "{ .reg .u64 q; cvta.shared.u64 q, %1; ld.u32 %0, [q]; }", false),
	{
		name: "ldmatrix.x4", items: 32, in: upwards(128), want: upwards(128),
		body: `    local uint tile[128] __attribute__((aligned(16)));
    uint v[4];
    for (int k = i; k < 128; k += 32)
        tile[k] = in[k];
    barrier(CLK_LOCAL_MEM_FENCE);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"((uint)(ulong)(tile + 4 * i)) MEMORY);
    for (int k = 0; k < 4; k++)
        out[32 * k + i] = v[k];`,
	},
	{
		name: "cp.async, 16 bytes", items: 32, in: upwards(128), want: upwards(128),
		body: `    local uint tile[128] __attribute__((aligned(16)));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"((uint)(ulong)(tile + 4 * i)), "l"((ulong)(in + 4 * i)) MEMORY);
    asm volatile("cp.async.commit_group;" : : MEMORY);
    asm volatile("cp.async.wait_group 0;" : : MEMORY);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = i; k < 128; k += 32)
        out[k] = tile[k];`,
	},
	// The address is right if local pointers are generic ones: then the two before are not.
	localAddress("local pointer taken for a generic one, cvta.to.shared", "(ulong)p", "l", "{ .reg .u64 q; cvta.to.shared.u64 q, %1; ld.shared.u32 %0, [q]; }", true),
	{
		name: "wgmma m64n8k16 bf16, A in registers", items: 128,
		in:   append(fragments(64, 8, 2, func(v int) uint32 { return bf16(float64(v)) }), fragments(8, 8, 2, func(v int) uint32 { return bf16(float64(v)) })...),
		want: products(64, 16, false),
		// B is two core matrices of 8 rows of 16 bytes, one behind the other along the sum.
		body: `    local uint b[64] __attribute__((aligned(128)));
    const int g = i % 32 / 4, t = i % 4, r = i / 32 * 16 + g;
    float d[4];
    if (i < 64)
        b[i % 8 / 4 * 32 + i / 8 * 4 + i % 4] = in[512 + i];
    asm volatile("fence.proxy.async;" : : MEMORY);
    barrier(CLK_LOCAL_MEM_FENCE);
    const ulong matrix = (((uint)(ulong)b & 0x3ffff) >> 4) | (ulong)8 << 16 | (ulong)8 << 32;
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %9, 0; wgmma.fence.sync.aligned; "
                 "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, p, 1, 1, 0; "
                 "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }"
                 : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
                 : "r"(in[r * 8 + t]), "r"(in[(r + 8) * 8 + t]), "r"(in[r * 8 + t + 4]), "r"(in[(r + 8) * 8 + t + 4]),
                   "l"(matrix), "r"(0) MEMORY);
    for (int k = 0; k < 4; k++)
        out[(r + k / 2 * 8) * 8 + 2 * t + k % 2] = as_uint(d[k]);`,
	},
}

const halfBody = `    const half h = ((global const half *)in)[i];
    out[i] = as_uint((float)(h * h));`

// Each word of local memory is written by one work-item, and some are read by another.
const localBody = `    for (int k = i; k < 16384; k += 32)
        extra[k] = in[i] + k;
    barrier(CLK_LOCAL_MEM_FENCE);
    out[i] = extra[16383 - i];`

func fromLocal() []uint32 {
	return generated(32, func(i int) uint32 { return uint32((16383-i)%32 + 16383 - i) })
}

// localAddress reads another work-item's word of local memory by an asm statement.
func localAddress(name, pointer, register, load string, open bool) instruction {
	return instruction{
		name: name, items: 32, open: open, in: upwards(32), want: generated(32, func(i int) uint32 { return uint32(31 - i) }),
		body: fmt.Sprintf(`    local uint tile[32];
    uint v;
    tile[i] = in[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    local const uint *p = tile + 31 - i;
    asm volatile("%s" : "=r"(v) : "%s"(%s) MEMORY);
    out[i] = v;`, load, register, pointer),
	}
}

// mma is a product of 16 rows by 8 columns by a warp. A word has so many numbers along the sum.
func mma(name, form string, numbers int, word func(int) uint32, integers bool) instruction {
	kind, register, bits := "float", "f", "as_uint"
	if integers {
		kind, register, bits = "int", "r", "(uint)"
	}
	words := 8
	return instruction{
		name: "mma.sync " + name, items: 32, want: products(16, words*numbers, integers),
		in: append(fragments(16, words, numbers, word), fragments(8, words, numbers, word)...),
		body: fmt.Sprintf(`    const int g = i / 4, t = i %% 4;
    const %[1]s zero = 0;
    %[1]s d[4];
    asm volatile("mma.sync.aligned.%[3]s {%%0, %%1, %%2, %%3}, {%%4, %%5, %%6, %%7}, {%%8, %%9}, {%%10, %%10, %%10, %%10};"
                 : "=%[2]s"(d[0]), "=%[2]s"(d[1]), "=%[2]s"(d[2]), "=%[2]s"(d[3])
                 : "r"(in[g * 8 + t]), "r"(in[(g + 8) * 8 + t]), "r"(in[g * 8 + t + 4]), "r"(in[(g + 8) * 8 + t + 4]),
                   "r"(in[128 + g * 8 + t]), "r"(in[128 + g * 8 + t + 4]), "%[2]s"(zero));
    for (int k = 0; k < 4; k++)
        out[(g + k / 2 * 8) * 8 + 2 * t + k %% 2] = %[4]s(d[k]);`, kind, register, form, bits),
	}
}

// element is the number at a row (a column of B) and a place along the sum: from -4 to 4.
func element(row, k int) int { return (7*row+5*k+row*k)%9 - 4 }

// fragments are the words of an operand, rows by words along the sum.
func fragments(rows, words, numbers int, word func(int) uint32) (all []uint32) {
	for r := range rows {
		for w := range words {
			var v uint32
			for n := range numbers {
				v |= word(element(r, w*numbers+n)) << (n * 32 / numbers)
			}
			all = append(all, v)
		}
	}
	return all
}

// products are the sums of rows by 8 columns, as float32 or int32.
func products(rows, sum int, integers bool) []uint32 {
	return generated(rows*8, func(i int) uint32 {
		s := 0
		for k := range sum {
			s += element(i/8, k) * element(i%8, k)
		}
		if integers {
			return uint32(int32(s))
		}
		return math.Float32bits(float32(s))
	})
}

// half returns the bits of a whole number from -4 to 4 as float16.
func half(v int) uint32 {
	bits := [...]uint32{0, 0x3c00, 0x4000, 0x4200, 0x4400}
	if v < 0 {
		return bits[-v] | 0x8000
	}
	return bits[v]
}

// bf16 returns the bits of a number as bfloat16, ties to even.
func bf16(v float64) uint32 {
	u := math.Float32bits(float32(v))
	return (u + 0x7fff + u>>16&1) >> 16
}

func generated(n int, f func(i int) uint32) []uint32 {
	v := make([]uint32, n)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

func floats(n int, f func(i int) float64) []uint32 {
	return generated(n, func(i int) uint32 { return math.Float32bits(float32(f(i))) })
}

func upwards(n int) []uint32            { return plus(n, 0) }
func plus(n int, v uint32) []uint32     { return generated(n, func(i int) uint32 { return uint32(i) + v }) }
func repeated(n int, v uint32) []uint32 { return generated(n, func(int) uint32 { return v }) }
func nearOne(i int) float64             { return 1 + float64(1+37*i)*0x1p-18 }
func quarters(i int) float64            { return float64(i-16) / 4 }
func whole(i int) float64               { return float64(i%9 - 4) }
func squared(i int) float64             { return whole(i) * whole(i) }

// halfPairs are the numbers of whole as float16, two in a word.
func halfPairs(words int) []uint32 {
	return generated(words, func(i int) uint32 { return half(2*i%9-4) | half((2*i+1)%9-4)<<16 })
}
