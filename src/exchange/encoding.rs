//! Content encodings: gzip, brotli, zstd, deflate.
