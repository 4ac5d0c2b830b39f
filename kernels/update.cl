// Descent over the flat vector: θ −= α·g. Where an element of g or of the new θ
// is not finite, tally[0] becomes the iteration, unless it holds one already.
// All work-items that find such an element offer the same number, so their order
// does not matter.
kernel void update(
    const int count, const float alpha, const int iteration,
    global float *theta,    // count
    global const float *g,  // count
    global int *tally)
{
    const int i = get_global_id(0);
    if (i >= count)
        return;
    const float step = g[i];
    const float next = fma(-alpha, step, theta[i]);
    theta[i] = next;
    if (!isfinite(step) || !isfinite(next))
        atomic_cmpxchg(tally, 0, iteration);
}
