// The three matrix products of a layer, one output a work-item, terms in their
// order: the specification of the fast variants, and a variant that runs on any
// device.
//
//   forward          h  = act(x·W + b)         x: B×n, w: n×p, b: p, h: B×p
//   weight_gradient  g = xᵀ·dz, gb = Σ dz      x: B×n, dz: B×p, g: n×p, gb: p
//   input_gradient   dx = (dz·Wᵀ) ⊙ [x > 0]    dz: B×p, w: n×p, x, dx: B×n

kernel void forward(
    const int B, const int n, const int p, const int relu,
    global const float *x, const ulong x_at, const int ldx,  // B×n
    global const float *w, const ulong w_at, const int ldw,  // n×p
    global const float *b, const ulong b_at,                 // p
    global float *h, const ulong h_at, const int ldh)        // B×p
{
    const int j = get_global_id(0);
    const int i = get_global_id(1);
    if (i >= B || j >= p)
        return;
    x += x_at + (ulong)i * ldx;
    w += w_at + j;
    float sum = 0.0f;
    for (int k = 0; k < n; k++)
        sum = fma(x[k], w[(ulong)k * ldw], sum);
    sum += b[b_at + j];
    h[h_at + (ulong)i * ldh + j] = relu ? RELU(sum) : sum;
}

// Row n of the result is the bias gradient: work-items with i = n add dz itself.
kernel void weight_gradient(
    const int B, const int n, const int p, const int add,       // add: to what g and gb hold
    global const float *x, const ulong x_at, const int ldx,     // B×n
    global const float *dz, const ulong dz_at, const int lddz,  // B×p
    global float *g, const ulong g_at, const int ldg,           // n×p
    global float *gb, const ulong gb_at)                        // p
{
    const int j = get_global_id(0);
    const int i = get_global_id(1);
    if (i > n || j >= p)
        return;
    x += x_at + i;
    dz += dz_at + j;
    float sum = 0.0f;
    for (int k = 0; k < B; k++)
        sum = fma(i < n ? x[(ulong)k * ldx] : 1.0f, dz[(ulong)k * lddz], sum);
    global float *to = i < n ? g + g_at + (ulong)i * ldg + j : gb + gb_at + j;
    *to = add ? *to + sum : sum;
}

// dx may be x: each work-item reads its element of x before it writes there.
kernel void input_gradient(
    const int B, const int n, const int p,
    global const float *dz, const ulong dz_at, const int lddz,  // B×p
    global const float *w, const ulong w_at, const int ldw,     // n×p
    global const float *x, const ulong x_at, const int ldx,     // B×n
    global float *dx, const ulong dx_at, const int lddx)        // B×n
{
    const int j = get_global_id(0);
    const int i = get_global_id(1);
    if (i >= B || j >= n)
        return;
    dz += dz_at + (ulong)i * lddz;
    w += w_at + (ulong)j * ldw;
    float sum = 0.0f;
    for (int k = 0; k < p; k++)
        sum = fma(dz[k], w[k], sum);
    dx[dx_at + (ulong)i * lddx + j] = x[x_at + (ulong)i * ldx + j] > 0.0f ? sum : 0.0f;
}
