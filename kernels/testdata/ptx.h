// What clang needs beside its own OpenCL headers to compile the kernels for NVIDIA's
// devices as their driver does: the functions that become instructions.
#define asm __asm__
#undef CLK_LOCAL_MEM_FENCE
#define CLK_LOCAL_MEM_FENCE 1
#define barrier(flags) __nvvm_bar_sync(0)
#define AXIS(d, x, y, z) ((int)((d) == 0 ? x() : (d) == 1 ? y() : z()))
#define get_local_id(d) AXIS(d, __nvvm_read_ptx_sreg_tid_x, __nvvm_read_ptx_sreg_tid_y, __nvvm_read_ptx_sreg_tid_z)
#define get_group_id(d) AXIS(d, __nvvm_read_ptx_sreg_ctaid_x, __nvvm_read_ptx_sreg_ctaid_y, __nvvm_read_ptx_sreg_ctaid_z)
#define get_num_groups(d) AXIS(d, __nvvm_read_ptx_sreg_nctaid_x, __nvvm_read_ptx_sreg_nctaid_y, __nvvm_read_ptx_sreg_nctaid_z)
#define get_local_size(d) AXIS(d, __nvvm_read_ptx_sreg_ntid_x, __nvvm_read_ptx_sreg_ntid_y, __nvvm_read_ptx_sreg_ntid_z)
#define get_global_id(d) (get_group_id(d) * get_local_size(d) + get_local_id(d))
#define get_global_size(d) (get_num_groups(d) * get_local_size(d))
#define isfinite(v) __builtin_isfinite(v)
#define atomic_cmpxchg(to, old, value) __nvvm_atom_cas_gen_i((__attribute__((address_space(0))) int *)(ulong)(to), old, value)
#define convert_float4(v) __builtin_convertvector((v), float4)
#define vstore2(v, i, to) \
    do { \
        const float2 v_ = (v); \
        (to)[2 * (i)] = v_.x; \
        (to)[2 * (i) + 1] = v_.y; \
    } while (0)
#define vstore4(v, i, to) \
    do { \
        const float4 v_ = (v); \
        (to)[4 * (i)] = v_.x; \
        (to)[4 * (i) + 1] = v_.y; \
        (to)[4 * (i) + 2] = v_.z; \
        (to)[4 * (i) + 3] = v_.w; \
    } while (0)

float __attribute__((overloadable)) ptx_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
float4 __attribute__((overloadable)) ptx_fma(float4 a, float4 b, float4 c)
{
    return (float4)(ptx_fma(a.x, b.x, c.x), ptx_fma(a.y, b.y, c.y), ptx_fma(a.z, b.z, c.z), ptx_fma(a.w, b.w, c.w));
}
#define fma ptx_fma
