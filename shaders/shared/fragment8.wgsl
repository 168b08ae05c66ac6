// The matrices that a subgroup multiplies at once.
const FRAGMENT: u32 = 8u;
alias FragmentA = coop_mat8x8<f16, A>;
alias FragmentB = coop_mat8x8<f16, B>;
alias FragmentC = coop_mat8x8<f32, C>;
