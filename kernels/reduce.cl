// Sums in a fixed order.

// g[i][j] = Σ_s part[s][i][j] for i < n, and gb[j] = Σ_s part[s][rows−1][j], or added to
// what g and gb hold: partial gradients make the gradient, split after split. A partial is stored
// in panels of some columns, one after the other, each with the given number of
// rows: element (i, j) stands at (j/panel)·rows·panel + i·panel + j%panel. A panel
// as wide as the rows is the ordinary row-major order; a panel of one column is
// the transposed.
kernel void add_partials(
    const int splits, const int n, const int p, const int add,
    global const float *part, const int ldp, const int panel, const int rows,  // splits×rows×ldp
    global float *g, const ulong g_at, const int ldg,  // n×p
    global float *gb, const ulong gb_at)               // p
{
    const int j = get_global_id(0);
    const int i = get_global_id(1);
    if (i > n || j >= p)
        return;
    const ulong size = (ulong)rows * ldp;
    // Not j % panel: of a quotient beside its remainder LLVM makes what Oclgrind
    // does not know.
    const int q = j / panel;
    part += ((ulong)q * rows + (i < n ? i : rows - 1)) * panel + (j - q * panel);
    float sum = part[0];
    for (int s = 1; s < splits; s++)
        sum += part[s * size];
    global float *to = i < n ? g + g_at + (ulong)i * ldg + j : gb + gb_at + j;
    *to = add ? *to + sum : sum;
}

// records[record] = Σ part[i], 0 ≤ i < count, by one work-group of GROUP_SIZE
// work-items: each adds every GROUP_SIZE-th part in order, then halves are added
// pairwise in local memory. Losses are float32, correct rows integers. The buffer
// holds one int (the first iteration that was not finite), one unused, and the
// records: loss as float bits, correct rows.
kernel __attribute__((reqd_work_group_size(GROUP_SIZE, 1, 1)))
void sum_record(
    const int count,
    global const int2 *part,  // count: loss as float bits, correct
    global int *records, const int record)
{
    local float losses[GROUP_SIZE];
    local int corrects[GROUP_SIZE];
    const int t = get_local_id(0);
    float loss = 0.0f;
    int correct = 0;
#pragma unroll 4
    for (int i = t; i < count; i += GROUP_SIZE) {
        loss += as_float(part[i].x);
        correct += part[i].y;
    }
    losses[t] = loss;
    corrects[t] = correct;
    for (int half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (t < half_size) {
            losses[t] += losses[t + half_size];
            corrects[t] += corrects[t + half_size];
        }
    }
    if (t == 0) {
        records[2 + 2 * record] = as_int(losses[0]);
        records[3 + 2 * record] = corrects[0];
    }
}
