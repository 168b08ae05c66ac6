use crate::{assert_noticed, assert_ok, broken, gpu};
use desirepath::check::embedding::{Pattern, embedding, embedding_onto};
use desirepath::ops::{self, Ids};
use desirepath::{Gpu, Options, Tape, Tensor};

const PATTERNS: [Pattern; 3] = [Pattern::Uniform, Pattern::Popular, Pattern::Padded];

#[test]
fn shapes() {
    for (rows, dim, n) in [(1, 1, 1), (2, 3, 255), (24, 64, 257), (63, 5, 64), (65, 1, 1000), (1009, 17, 331)] {
        for pattern in PATTERNS {
            assert_ok(embedding(gpu(), rows, dim, n, pattern));
        }
    }
}

#[test]
fn onto_others() {
    for (rows, dim, n) in [(1, 1, 1), (24, 64, 30), (65, 3, 100), (7, 4, 300)] {
        for pattern in PATTERNS {
            let reports = embedding_onto(gpu(), rows, dim, n, pattern);
            assert_eq!(reports.as_ref().map_or(3, Vec::len), 3, "y, dtable, donto");
            assert_ok(reports);
        }
    }
    let other_mask = broken("embedding", "WIDTH * (params.before + at)", "params.before + at");
    assert_noticed(embedding_onto(&other_mask, 5, 8, 40, Pattern::Uniform));
    let alone = broken("embedding", "v += plus[at];", "");
    assert_noticed(embedding_onto(&alone, 5, 8, 40, Pattern::Padded));
    let one_way = broken("embedding_backward", "sum += plus[i];", "");
    assert_noticed(embedding_onto(&one_way, 5, 8, 40, Pattern::Uniform));
}

#[test]
fn long_segments() {
    for n in [64, 65, 127, 128, 129, 5000, 20_001] {
        assert_ok(embedding(gpu(), 1, 4, n, Pattern::Uniform));
        assert_ok(embedding(gpu(), 7, 3, n, Pattern::Popular));
    }
}

#[test]
fn tables_beyond_one_binding() {
    // 16 KiB: 64 rows of 64 numbers, or 1,344 of 3 (the starts of the rows come in pieces too).
    let small = Gpu::open(Options { guard: true, max_binding: Some(16 << 10), ..Options::from_env() }).unwrap();
    for pattern in PATTERNS {
        assert_ok(embedding(&small, 1000, 64, 50, pattern));
        assert_ok(embedding_onto(&small, 130, 64, 50, pattern));
        assert_ok(embedding(&small, 64, 64, 60, pattern));
        assert_ok(embedding(&small, 3000, 3, 1000, pattern));
        // And outputs.
        assert_ok(embedding_onto(&small, 40, 64, 150, pattern));
        assert_ok(embedding_onto(&small, 70, 8, 1100, pattern));
        assert_ok(embedding(&small, 100, 64, 700, pattern));
        assert_ok(embedding(&small, 5, 3, 4000, pattern));
    }
}

#[test]
fn rows_of_activations() {
    let x = Tensor::from_slice(gpu(), &(0..24).map(|i| i as f32).collect::<Vec<_>>(), &[2, 3, 4]).parameter();
    let mut tape = Tape::new(0);
    let twice = ops::scale(&mut tape, &x, 2.0);
    let last = ops::embedding(&mut tape, &twice, &Ids::new(gpu(), &[1, 5], &[2], 6), None);
    assert_eq!(last.shape(), [2, 4]);
    assert_eq!(last.to_vec::<f32>().unwrap(), [8.0, 10.0, 12.0, 14.0, 40.0, 42.0, 44.0, 46.0]);
    let grads = tape.backward_from(&last, Tensor::full(gpu(), &[2, 4], 1.0));
    let expected: Vec<f32> = (0..24).map(|i| if matches!(i / 4, 1 | 5) { 2.0 } else { 0.0 }).collect();
    assert_eq!(grads.get(&x).unwrap().to_vec::<f32>().unwrap(), expected);
}

/// As the biases of items are added to scores.
#[test]
fn a_column_that_is_reshaped_afterwards() {
    let table = Tensor::from_slice(gpu(), &[10.0f32, 20.0, 30.0], &[3, 1]).parameter();
    let mut tape = Tape::new(0);
    let y = ops::embedding(&mut tape, &table, &Ids::new(gpu(), &[2, 0, 2, 1], &[4], 3), None).reshape(&[4]);
    assert_eq!(y.to_vec::<f32>().unwrap(), [30.0, 10.0, 30.0, 20.0]);
    let grads = tape.backward_from(&y, Tensor::from_slice(gpu(), &[1.0f32, 2.0, 4.0, 8.0], &[4]));
    assert_eq!(grads.get(&table).unwrap().to_vec::<f32>().unwrap(), [2.0, 8.0, 5.0]);
}

#[test]
fn the_same_bits_every_time() {
    let ids: Vec<u32> = (0..4096u32).map(|i| i.wrapping_mul(2_654_435_761) % 24).collect();
    let dy: Vec<f32> = (0..4096 * 8).map(|i| (i as f32).sin()).collect();
    let run = || {
        let table = Tensor::zeros(gpu(), &[24, 8]).parameter();
        let mut tape = Tape::new(0);
        let y = ops::embedding(&mut tape, &table, &Ids::new(gpu(), &ids, &[4096], 24), None);
        let grads = tape.backward_from(&y, Tensor::from_slice(gpu(), &dy, &[4096, 8]));
        grads.get(&table).unwrap().to_vec::<u32>().unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
#[should_panic(expected = "embedding: id 5 at position 1 leaves a table of 5 rows")]
fn an_id_outside_the_table() {
    Ids::new(gpu(), &[4, 5], &[2], 5);
}

#[test]
fn broken_kernels_are_noticed() {
    let padding = broken("embedding", "if (id == params.padding)", "if (false)");
    assert_noticed(embedding(&padding, 5, 8, 40, Pattern::Padded));
    let first = broken("embedding_backward", "var k = starts[segment];", "var k = starts[segment] + 1u;");
    assert_noticed(embedding(&first, 5, 8, 40, Pattern::Uniform));
    let partial = broken("embedding_backward", "sum += partial[", "sum += dy[");
    assert_noticed(embedding(&partial, 2, 8, 300, Pattern::Popular));
}
