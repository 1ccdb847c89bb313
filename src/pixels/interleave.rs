//! From the values of one image to its pixels: the pass over the data.

use super::layout::Layout;
use super::normalize::Map;
use super::sample::Sample;

/// Pixels converted at a time, so that the planes of a block stay in the cache until they are
/// interleaved.
const BLOCK: usize = 2048;

/// The pixels of one image, channels interleaved. `maps` holds one map for all channels, or one
/// for each.
pub(super) fn pixels<T: Sample>(
    values: &[T],
    channels: usize,
    layout: Layout,
    maps: &[Map],
) -> Vec<u8> {
    let mut out = vec![0; values.len()];
    match (layout, channels, maps) {
        (_, 1, [map, ..]) | (Layout::Hwc, _, [map]) => map.apply(values.iter(), out.iter_mut()),
        (Layout::Hwc, ..) => strided(values, channels, maps, &mut out),
        (Layout::Chw, ..) => planar(values, channels, maps, &mut out),
    }
    out
}

fn strided<T: Sample>(values: &[T], channels: usize, maps: &[Map], out: &mut [u8]) {
    for (channel, map) in maps.iter().enumerate().take(channels) {
        map.apply(
            values.iter().skip(channel).step_by(channels),
            out.iter_mut().skip(channel).step_by(channels),
        );
    }
}

fn planar<T: Sample>(values: &[T], channels: usize, maps: &[Map], out: &mut [u8]) {
    let plane_len = values.len() / channels;
    let mut planes = vec![0; BLOCK * channels];
    for (block, out) in out.chunks_mut(BLOCK * channels).enumerate() {
        let len = out.len() / channels;
        for channel in 0..channels {
            let start = channel * plane_len + block * BLOCK;
            let map = maps[channel.min(maps.len() - 1)];
            let plane = &mut planes[channel * BLOCK..channel * BLOCK + len];
            map.apply(values[start..start + len].iter(), plane.iter_mut());
        }
        match channels {
            2 => weave::<2>(&planes, out),
            3 => weave::<3>(&planes, out),
            _ => weave::<4>(&planes, out),
        }
    }
}

fn weave<const CHANNELS: usize>(planes: &[u8], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<CHANNELS>();
    let planes: [&[u8]; CHANNELS] = std::array::from_fn(|c| &planes[c * BLOCK..][..out.len()]);
    for (i, pixel) in out.iter_mut().enumerate() {
        *pixel = std::array::from_fn(|c| planes[c][i]);
    }
}
