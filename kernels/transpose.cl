// to[j][i] = from[i][j], for the register-blocked input gradient, which wants
// Wᵀ with contiguous outputs. from is n×p, to p×n with rows of ldt elements;
// elements i ≥ n up to ldt become zero, as padding has to be.
kernel void transpose(
    const int n, const int p,
    global const float *from, const ulong from_at, const int ldf,  // n×p
    global float *to, const ulong to_at, const int ldt)            // p×n
{
    const int i = get_global_id(0);
    const int j = get_global_id(1);
    if (i >= ldt || j >= p)
        return;
    to[to_at + (ulong)j * ldt + i] = i < n ? from[from_at + (ulong)i * ldf + j] : 0.0f;
}
