// Descent over flat vectors: θ −= α·g. Where an element of g or of the new θ is not
// finite, state[0] becomes the iteration, unless it holds one already. All work-items
// that find such an element offer the same number, so their order does not matter.
//
// A work-item takes ITEM elements: one on devices with many small cores; many, 16 at a
// time in a vector register, where work-items are whole cores (CPUs). There 100,000
// elements took 0.13 ms with one a work-item, four times as long: the test for finite
// numbers, which may end in an atomic operation, kept PoCL from making vectors.
//
// v − v is 0 where v is finite and NaN otherwise.
kernel void update(
    const int count, const float alpha, const int iteration,
    global float *theta, const ulong theta_at,    // count
    global const float *g, const ulong g_at,      // count
    global int *state)
{
    const int first = get_global_id(0) * ITEM;
    const int end = min(first + ITEM, count);
    theta += theta_at;
    g += g_at;
    int wrong = 0;
    int i = first;
#if ITEM >= 16
    float16 wrongs = 0.0f;
    for (; i + 16 <= end; i += 16) {
        global float16 *to = (global float16 *)(theta + i);
        const float16 step = *(global const float16 *)(g + i);
        const float16 next = fma((float16)(-alpha), step, *to);
        *to = next;
        wrongs += (step - step) + (next - next);
    }
    wrong = any(wrongs != wrongs);
#endif
    for (; i < end; i++) {
        const float step = g[i];
        const float next = fma(-alpha, step, theta[i]);
        theta[i] = next;
        wrong |= step - step != 0.0f || next - next != 0.0f;
    }
    if (wrong)
        atomic_cmpxchg(state, 0, iteration);
}
