//! Bytes to the device and back.

use super::{Buffer, Gpu, SENTINEL, pool};
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

type Mapping = (Option<std::result::Result<(), wgpu::BufferAsyncError>>, Option<Waker>);

impl Gpu {
    /// Copies `bytes` into `buffer`, in order with the dispatches before and after.
    ///
    /// # Panics
    /// When the bytes do not fit, or their number is not a multiple of 4.
    #[track_caller]
    pub fn write(&self, buffer: &Buffer, bytes: &[u8]) {
        assert!(bytes.len() as u64 <= buffer.len, "write: {} bytes into a buffer of {}", bytes.len(), buffer.len);
        assert!(bytes.len().is_multiple_of(4), "write: {} bytes is not a multiple of 4", bytes.len());
        if buffer.raw.refused || bytes.is_empty() {
            return;
        }
        // An upload runs before the next submission: commands recorded but not submitted must go first.
        let mut recorder = self.recorder();
        if recorder.uses(&buffer.raw) {
            recorder.flush(self);
        }
        let write = || self.inner.queue.write_buffer(&buffer.raw.buffer, buffer.offset, bytes);
        if let ((), Some(error)) = self.guarded(write) {
            buffer.raw.failure.set(&error);
            self.inner.fault.set(error);
        } else if buffer.offset == 0 && bytes.len() as u64 >= buffer.raw.len {
            buffer.raw.failure.clear(); // nothing of what failed is left
        }
    }

    /// Reads `buffer` back. On the web this yields to the browser; natively it blocks.
    ///
    /// Fails with the first error since the last time, and always where a dispatch that should have written the buffer
    /// did not run, until all of it is written anew.
    pub async fn read(&self, buffer: &Buffer) -> Result<Vec<u8>> {
        Ok(self.read_all(&[buffer]).await?.swap_remove(0))
    }

    /// [`Gpu::read`] of several buffers, which waits for the device once.
    pub async fn read_all(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<u8>>> {
        let filled: Vec<Buffer> = buffers.iter().filter(|b| b.len > 0).map(|b| (*b).clone()).collect();
        if filled.is_empty() {
            self.sync()?;
            return Ok(vec![Vec::new(); buffers.len()]);
        }
        self.flush(); // what the device refuses now counts, too
        if let Some(error) = filled.iter().find_map(|b| b.raw.failure.get()) {
            self.inner.fault.take()?;
            return Err(error);
        }
        let bytes = self.read_each(&filled).await?;
        let mut rest = bytes.as_slice();
        let mut next = |b: &&Buffer| {
            let own;
            (own, rest) = rest.split_at(b.len.next_multiple_of(4) as usize);
            own[..b.len as usize].to_vec()
        };
        Ok(buffers.iter().map(&mut next).collect())
    }

    /// Several buffers in one go, one behind the other, each in whole words.
    async fn read_each(&self, buffers: &[Buffer]) -> Result<Vec<u8>> {
        let words = |b: &Buffer| b.len.next_multiple_of(4);
        let size = buffers.iter().map(words).sum();
        let mapping = Arc::new(Mutex::new(Mapping::default()));
        let staging = {
            let mut recorder = self.recorder();
            recorder.flush(self);
            let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
            let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            let (staging, error) = self.guarded(|| self.inner.device.create_buffer(&descriptor));
            if let Some(error) = error {
                self.inner.fault.set(error);
                return Err(self.inner.fault.take().expect_err("it was set"));
            }
            let (index, error) = self.guarded(|| {
                let mut encoder = self.inner.device.create_command_encoder(&Default::default());
                let mut at = 0;
                for buffer in buffers {
                    encoder.copy_buffer_to_buffer(&buffer.raw.buffer, buffer.offset, &staging, at, words(buffer));
                    at += words(buffer);
                }
                let index = self.inner.queue.submit([encoder.finish()]);
                let told = mapping.clone();
                staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
                    let mut mapping = told.lock().expect("map lock");
                    mapping.0 = Some(result);
                    if let Some(waker) = mapping.1.take() {
                        waker.wake();
                    }
                });
                index
            });
            match error {
                Some(error) => self.inner.fault.set(error),
                None => recorder.wait(self, index),
            }
            staging
        };
        self.inner.fault.take()?;
        self.mapped(&mapping).await?;
        let view = staging.slice(..).get_mapped_range();
        let view = view.map_err(|e| Error::Gpu(format!("read-back failed: {e}")))?;
        Ok(view.to_vec())
    }

    /// Waits until a buffer is mapped. A browser calls back by itself; natively somebody has to poll.
    async fn mapped(&self, mapping: &Mutex<Mapping>) -> Result<()> {
        let result = std::future::poll_fn(|cx| {
            if !self.poll(wgpu::PollType::Poll) {
                return Poll::Ready(self.inner.fault.take());
            }
            let mut mapping = mapping.lock().expect("map lock");
            if let Some(result) = mapping.0.take() {
                let failed = |e| self.loss().unwrap_or_else(|| Error::Gpu(format!("read-back failed: {e}")));
                return Poll::Ready(result.map_err(failed));
            }
            match cfg!(target_arch = "wasm32") {
                true => mapping.1 = Some(cx.waker().clone()),
                false => cx.waker().wake_by_ref(),
            }
            Poll::Pending
        });
        result.await
    }

    /// Fills a whole buffer, tail and all, with [`SENTINEL`].
    pub(super) fn poison(&self, buffer: &Buffer) {
        let whole = Buffer { raw: buffer.raw.clone(), offset: 0, len: buffer.raw.capacity };
        self.write(&whole, bytemuck::cast_slice(&vec![SENTINEL; buffer.raw.capacity as usize / 4]));
    }

    /// In guard mode: fails when a kernel wrote behind the end of any tensor, alive or dropped since the last look (as far
    /// as 256 MiB of those go). Blocks.
    pub fn check_guards(&self) -> Result<()> {
        let guard = pool::GUARD_BYTES;
        let tail = |raw: Arc<pool::Raw>| Buffer { offset: raw.capacity - guard, len: guard, raw };
        let tails: Vec<Buffer> = self.inner.pool.to_look_at().into_iter().map(tail).collect();
        if tails.is_empty() {
            return self.sync();
        }
        let bytes = pollster::block_on(self.read_each(&tails))?;
        for (words, tail) in bytes.chunks_exact(guard as usize).zip(&tails) {
            if bytemuck::cast_slice::<u8, u32>(words).iter().any(|w| *w != SENTINEL) {
                return Err(Error::Gpu(format!("a kernel wrote behind a buffer of {} bytes", tail.raw.capacity)));
            }
        }
        Ok(())
    }
}
