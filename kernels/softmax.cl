// Softmax with cross-entropy: replaces logits by the loss's derivative and
// counts loss and correct rows.
//
//   dz[i][j] = (softmax(z[i])[j] − [j = y_i]) / m
//   loss_i   = log Σ_j exp(z[i][j] − max) − (z[i][y_i] − max)
//   correct_i = [y_i is the lowest class with the largest logit]
//
// Each work-item writes the sums of its rows to part; sum_record (reduce.cl)
// adds them. Floats travel as the bits of integers and never the other way
// round: small integers are denormal floats, which a device may flush to zero.
//
// A NaN among the logits reaches loss and derivative: the largest logit is found
// by comparisons, which a NaN fails, and exp and the sum keep it.

// One row a work-item, classes in their order: the specification.
kernel void softmax_cross_entropy(
    const int B, const int p, const float scale,     // scale = 1/m
    global float *z, const ulong z_at, const int ldz,  // B×p: logits, then dz
    global const int *labels, const ulong labels_at,   // B
    global int2 *part)                                 // B: loss as float bits, correct
{
    const int i = get_global_id(0);
    if (i >= B)
        return;
    z += z_at + (ulong)i * ldz;
    const int y = labels[labels_at + i];
    int best = 0;
    for (int j = 1; j < p; j++)
        if (z[j] > z[best])
            best = j;
    const float top = z[best];
    const float own = z[y] - top;
    float sum = 0.0f;
    for (int j = 0; j < p; j++)
        sum += exp(z[j] - top);
    for (int j = 0; j < p; j++)
        z[j] = (exp(z[j] - top) / sum - (j == y ? 1.0f : 0.0f)) * scale;
    part[i] = (int2)(as_int(log(sum) - own), best == y ? 1 : 0);
}

// ITEM_ROWS rows a work-item, 16 classes at a time in vector registers, for
// devices whose work-items are whole cores (CPUs).
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void softmax_cross_entropy_register(
    const int B, const int p, const float scale,
    global float *z, const ulong z_at, const int ldz,  // B×p: logits, then dz
    global const int *labels, const ulong labels_at,   // B
    global int2 *part)                                 // ⌈B/ITEM_ROWS⌉
{
    const int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const int first = get_global_id(0) * ITEM_ROWS;
    const int end = min(first + ITEM_ROWS, B);
    float loss = 0.0f;
    int correct = 0;
    for (int i = first; i < end; i++) {
        global float *row = z + z_at + (ulong)i * ldz;
        const int y = labels[labels_at + i];
        // Padding counts as −∞ for the maximum and as exp 0 for the sum.
        float16 most = -INFINITY;
        for (int j = 0; j < p; j += 16) {
            const float16 v = select((float16)-INFINITY, vload16(0, row + j), lane + j < p);
            most = select(most, v, v > most);
        }
        const float8 m8 = select(most.lo, most.hi, most.hi > most.lo);
        const float4 m4 = select(m8.lo, m8.hi, m8.hi > m8.lo);
        const float2 m2 = select(m4.lo, m4.hi, m4.hi > m4.lo);
        const float top = m2.y > m2.x ? m2.y : m2.x;
        const float own = row[y] - top;
        // The lowest class that reaches the maximum; p where none does, which only
        // NaNs bring about.
        int best = p;
        float16 sums = 0.0f;
        for (int j = 0; j < p; j += 16) {
            const float16 v = vload16(0, row + j);
            const float16 q = select((float16)0.0f, exp(v - top), lane + j < p);
            sums += q;
            const int16 at = select((int16)p, lane + j, v == top && lane + j < p);
            const int8 a8 = min(at.lo, at.hi);
            const int4 a4 = min(a8.lo, a8.hi);
            const int2 a2 = min(a4.lo, a4.hi);
            best = min(best, min(a2.x, a2.y));
            vstore16(q, 0, row + j);
        }
        const float8 s8 = sums.lo + sums.hi;
        const float4 s4 = s8.lo + s8.hi;
        const float2 s2 = s4.lo + s4.hi;
        const float sum = s2.x + s2.y;
        for (int j = 0; j < p; j += 16) {
            const float16 one = select((float16)0.0f, (float16)1.0f, lane + j == y);
            vstore16((vload16(0, row + j) / sum - one) * scale, 0, row + j);
        }
        loss += log(sum) - own;
        correct += best == y;
    }
    part[get_global_id(0)] = (int2)(as_int(loss), correct);
}
