// The opening handshake's one computation: base64(SHA-1(key + GUID)).
#pragma once
#include <stdint.h>
#include <string.h>

static uint32_t turn(uint32_t x, int by) { return x << by | x >> (32 - by); }

// One 64-byte block of FIPS 180-4's SHA-1.
static void sha1_block(uint32_t s[5], const uint8_t *block) {
  static const uint32_t add[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
  uint32_t w[80], v[5];
  memcpy(v, s, sizeof v);
  for (int t = 0; t < 80; t++) {
    if (t < 16) {
      memcpy(&w[t], block + 4 * t, 4);
      w[t] = __builtin_bswap32(w[t]);  // little-endian machines only, as wsd
    } else {
      w[t] = turn(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    uint32_t b = v[1], c = v[2], d = v[3];
    uint32_t mix = t < 20 ? d ^ (b & (c ^ d)) : t < 40 || t >= 60 ? b ^ c ^ d : (b & c) | (d & (b | c));
    uint32_t next = turn(v[0], 5) + mix + v[4] + add[t / 20] + w[t];
    v[4] = d, v[3] = c, v[2] = turn(b, 30), v[1] = v[0], v[0] = next;
  }
  for (int i = 0; i < 5; i++) s[i] += v[i];
}

// accept_key writes the 28 characters that answer a client's 24-character key.
static void accept_key(const char *key, char out[28]) {
  static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint32_t s[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint8_t text[128] = {0}, sum[21] = {0};
  memcpy(text, key, 24);
  memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
  text[60] = 0x80;                      // the text's end, and
  text[126] = 60 * 8 / 256, text[127] = 60 * 8 % 256;  // its length in bits
  sha1_block(s, text);
  sha1_block(s, text + 64);
  for (int i = 0; i < 20; i++) sum[i] = (uint8_t)(s[i / 4] >> (24 - 8 * (i % 4)));
  for (int i = 0; i < 28; i++) {  // six bits each
    int bit = 6 * i, two = sum[bit / 8] << 8 | (bit / 8 < 20 ? sum[bit / 8 + 1] : 0);
    out[i] = set[two >> (10 - bit % 8) & 63];
  }
  out[27] = '=';
}
