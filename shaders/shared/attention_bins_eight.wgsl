// attention_bins for one query and the eight keys from j on.
fn add_all(own: u32, row: u32, i: u32, j: u32, e: Event, others: Events, ds: Eight, valid: bool) {
    if (valid) {
        add_bins(own, row, i, j, e, others.e0, ds.lo.x);
        add_bins(own, row, i, j + 1u, e, others.e1, ds.lo.y);
        add_bins(own, row, i, j + 2u, e, others.e2, ds.lo.z);
        add_bins(own, row, i, j + 3u, e, others.e3, ds.lo.w);
        add_bins(own, row, i, j + 4u, e, others.e4, ds.hi.x);
        add_bins(own, row, i, j + 5u, e, others.e5, ds.hi.y);
        add_bins(own, row, i, j + 6u, e, others.e6, ds.hi.z);
        add_bins(own, row, i, j + 7u, e, others.e7, ds.hi.w);
    }
}
