// What a device comes to at best, to compare the operations with.
//
// Parameters:
//   WIDTH   elements of a vector
//   CHAINS  vectors that a work-item computes side by side: enough to hide the
//           time from one fma to the next that needs its result
//   STEPS   vectors that a work-item copies

#define UNROLLED 16

// Nothing but multiply-adds: each of CHAINS vectors becomes a·x + b, UNROLLED times
// for each of rounds. With a = 1/2 and b = 1 all end at 2, wherever they began, and
// CHAINS of them are added: to[i] = 2·CHAINS, unless rounds is too small for it. The
// numbers are arguments, so that no compiler knows the end.
kernel void arithmetic(
    const int rounds, const float a, const float b,
    global float *restrict to)  // WIDTH for each work-item
{
    vector x[CHAINS];
#pragma unroll
    for (int c = 0; c < CHAINS; c++)
        x[c] = (vector)(float)(get_local_id(0) + c);
    for (int r = 0; r < rounds; r++)
#pragma unroll
        for (int u = 0; u < UNROLLED; u++)
#pragma unroll
            for (int c = 0; c < CHAINS; c++)
                x[c] = fma(x[c], (vector)a, (vector)b);
    vector sum = x[0];
#pragma unroll
    for (int c = 1; c < CHAINS; c++)
        sum += x[c];
    STORE(sum, get_global_id(0), to);
}

// to[i] = from[i]. A work-group takes STEPS vectors a work-item, side by side in
// each step: consecutive ones of a group of one.
kernel void copy(
    global const float *restrict from,
    global float *restrict to)
{
    const ulong at = (ulong)get_group_id(0) * STEPS * get_local_size(0) + get_local_id(0);
#pragma unroll 4
    for (int s = 0; s < STEPS; s++)
        STORE(LOAD(at + s * get_local_size(0), from), at + s * get_local_size(0), to);
}
