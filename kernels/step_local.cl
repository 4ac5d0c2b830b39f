// An iteration of a small batch in few launches, for devices with many small cores (GPUs),
// where a launch takes longer than the work of many operations. The products of the layers
// before the last, and the parts of all weight gradients, are those of matmul_local.cl or
// matmul_tensor.cl; what is left takes two launches here:
//
//   step_output   the last layer of some rows: its sums, the loss, and the derivatives of
//                 its sums and of its input. One operation after the other takes four.
//   step_update   all layers' parts are added and the parameters updated, and the losses
//                 added. One operation after the other takes a launch a layer, and two.
//
// For a network of two layers that is 5 launches, the first layer's forward product and two
// weight gradients among them, in the place of 11.
//
// What is as in the kernels of single operations: every sum's order but for that of the
// losses. The first layer's weights, multiplied by the factors of the input where those are
// held apart (affine.cl), stand in scaled, which step_update keeps up to date.

#if defined(OUTPUT)
// The last layer of ROWS rows a work-group, with INPUTS inputs and CLASSES classes: its input
// and its weights are in local memory. Every term of a sum is added in its order.
//
// Parameters:
//   INPUTS, CLASSES  the layer's shape
//   ROWS             rows of a work-group
//   GROUP_SIZE       work-items of a work-group, at least ROWS
//
// (Remainders without %: see add_partials in reduce.cl.)
kernel __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1)))
void step_output(
    const int B, const float scale,                            // scale = 1/m
    global const float *x, const ulong x_at, const int ldx,    // B×INPUTS
    global const float *w, const ulong w_at, const int ldw,    // INPUTS×CLASSES
    global const float *b, const ulong b_at,                   // CLASSES
    global const int *labels, const ulong labels_at,           // B
    global float *dz, const ulong dz_at, const int lddz,       // B×CLASSES
    global float *dx, const ulong dx_at, const int lddx,       // B×INPUTS
    global int2 *part)                                         // a work-group: loss as float bits, correct
{
    local float xs[ROWS * (INPUTS + 1)];  // rows a float apart from a multiple of the banks
    local float ws[INPUTS * CLASSES];
    local float zs[ROWS * CLASSES];
    local float losses[ROWS];
    local int corrects[ROWS];
    const int t = get_local_id(0);
    const int row0 = get_group_id(0) * ROWS;
    const int rows = min(ROWS, B - row0);

    for (int q = t; q < INPUTS * CLASSES; q += GROUP_SIZE) {
        const int k = q / CLASSES;
        ws[q] = w[w_at + (ulong)k * ldw + (q - k * CLASSES)];
    }
    for (int q = t; q < ROWS * INPUTS; q += GROUP_SIZE) {
        const int i = q / INPUTS, k = q - i * INPUTS;
        xs[i * (INPUTS + 1) + k] = i < rows ? x[x_at + (ulong)(row0 + i) * ldx + k] : 0.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int q = t; q < ROWS * CLASSES; q += GROUP_SIZE) {
        const int i = q / CLASSES, j = q - i * CLASSES;
        float sum = 0.0f;
#pragma unroll 8
        for (int k = 0; k < INPUTS; k++)
            sum = fma(xs[i * (INPUTS + 1) + k], ws[k * CLASSES + j], sum);
        zs[q] = sum + b[b_at + j];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (t < rows) {  // as softmax_cross_entropy
        local float *z = zs + t * CLASSES;
        const int y = labels[labels_at + row0 + t];
        int best = 0;
        for (int j = 1; j < CLASSES; j++)
            if (z[j] > z[best])
                best = j;
        const float top = z[best];
        const float own = z[y] - top;
        float sum = 0.0f;
        for (int j = 0; j < CLASSES; j++) {
            z[j] = exp(z[j] - top);
            sum += z[j];
        }
        for (int j = 0; j < CLASSES; j++)
            z[j] = (z[j] / sum - (j == y ? 1.0f : 0.0f)) * scale;
        losses[t] = log(sum) - own;
        corrects[t] = best == y;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int q = t; q < rows * CLASSES; q += GROUP_SIZE) {
        const int i = q / CLASSES;
        dz[dz_at + (ulong)(row0 + i) * lddz + (q - i * CLASSES)] = zs[q];
    }
    for (int q = t; q < rows * INPUTS; q += GROUP_SIZE) {
        const int i = q / INPUTS, k = q - i * INPUTS;
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < CLASSES; j++)
            sum = fma(zs[i * CLASSES + j], ws[k * CLASSES + j], sum);
        dx[dx_at + (ulong)(row0 + i) * lddx + k] = xs[i * (INPUTS + 1) + k] > 0.0f ? sum : 0.0f;
    }
    if (t == 0) {
        float loss = 0.0f;
        int correct = 0;
        for (int i = 0; i < rows; i++) {
            loss += losses[i];
            correct += corrects[i];
        }
        part[get_group_id(0)] = (int2)(as_int(loss), correct);
    }
}

#else
// θ by its gradient, of which each layer has some partial ones, split after split, in the layout
// of the layer in θ (network.Layout): W and then, as a last row, b. Those of a layer stand behind
// those of the layer before. A work-item has an element of θ; a last work-group, where there are losses, adds
// those. With SUM theta is a gradient, and there is no update.
//
// Parameters:
//   LAYERS, N0 … N4  layers with weights, at most 4, and the network's sizes
//   AFFINE           the first layer's input: 0 as it is, 1 with factors held apart, 2 with
//                    shifts too (affine.cl)
//   GROUP_SIZE       work-items of a work-group, a power of two
//   RULE             of the update
#define STRIDE(n) (((n) + 15) / 16 * 16 | 16)  // network.Stride
#define SIZE(n, p) (((ulong)(n) + 1) * STRIDE(p))

kernel __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1)))
void step_update(
    const int count, const int iteration, const int splits1, const int splits2, const int splits3, const int splits4,
    const int losses, const int record, FACTORS,
    global const float *part, global const int2 *loss,  // loss as float bits, correct
    global const float2 *affine,                         // N0: factor and shift
    global float *theta, global float *a, global float *b,
    global float *scaled,                                // N0×N1, of stride STRIDE(N1)
    global int *recorder)
{
    local float all[GROUP_SIZE];
    local int right[GROUP_SIZE];
    const int t = get_local_id(0);
    if (losses > 0 && get_group_id(0) == get_num_groups(0) - 1) {  // as sum_record
        float sum = 0.0f;
        int correct = 0;
        for (int i = t; i < losses; i += GROUP_SIZE) {
            sum += as_float(loss[i].x);
            correct += loss[i].y;
        }
        all[t] = sum;
        right[t] = correct;
        for (int half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (t < half_size) {
                all[t] += all[t + half_size];
                right[t] += right[t + half_size];
            }
        }
        if (t == 0) {
            recorder[2 + 2 * record] = as_int(all[0]);
            recorder[3 + 2 * record] = right[0];
        }
        return;
    }
    const ulong e = get_global_id(0);
    if (e >= (ulong)count)
        return;
    ulong first = 0, size = SIZE(N0, N1);
    int layer = 0, n = N0, p = N1, parts = splits1;
#define NEXT(l, inputs, outputs, s)               \
    if (layer == (l) - 1 && e >= first + size) {  \
        part += parts * size;                     \
        first += size;                            \
        size = SIZE(inputs, outputs);             \
        layer = l, n = inputs, p = outputs, parts = s; \
    }
#if LAYERS > 1
    NEXT(1, N1, N2, splits2)
#endif
#if LAYERS > 2
    NEXT(2, N2, N3, splits3)
#endif
#if LAYERS > 3
    NEXT(3, N3, N4, splits4)
#endif
    const int at = (int)(e - first);
    const int stride = STRIDE(p);
    const int i = at / stride, j = at - i * stride;
    if (j >= p)
        return;
    float g = part[at];
    for (int s = 1; s < parts; s++)
        g += part[s * size + at];
#if AFFINE > 0
    if (layer == 0 && i < N0) {
        g *= affine[i].x;
#if AFFINE > 1
        const int last = N0 * STRIDE(N1) + j;
        float d = part[last];
        for (int s = 1; s < parts; s++)
            d += part[s * size + last];
        g = fma(affine[i].y, d, g);
#endif
    }
#endif
    float x = theta[e], u = 0.0f, v = 0.0f;
#if STATES > 0
    u = a[e];
#endif
#if STATES > 1
    v = b[e];
#endif
    APPLY(float, x, g, u, v);
    theta[e] = x;
#if STATES > 0
    a[e] = u;
#endif
#if STATES > 1
    b[e] = v;
#endif
#if AFFINE > 0 && RULE != SUM
    if (layer == 0 && i < N0)
        scaled[at] = affine[i].x * x;
#endif
    const float wrong = NOT_FINITE(x, g, u, v);
    if (wrong != wrong)
        atomic_cmpxchg(recorder, 0, iteration);
}
#endif
