/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decimal numbers, fast: eight digits at once in a 64-bit word. Private to this folder. */
#ifndef IMSAFE_TRACE_DIGITS_H
#define IMSAFE_TRACE_DIGITS_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Eight characters, the first one in the lowest byte. */
static inline uint64_t digits_load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

/* The lowest bit set, from 7 in steps of 8, is at the first character that is no digit. Bits above it mean nothing. */
static inline uint64_t digits_others(uint64_t word)
{
	word ^= 0x3030303030303030ULL;
	return (word | (word + 0x7676767676767676ULL)) & 0x8080808080808080ULL;
}

/* How many digits the word begins with, 0..8. */
static inline unsigned digits_count(uint64_t word)
{
	uint64_t others = digits_others(word);

	return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

/* The value of its first n digits, n from 1 to 8: pairs, then fours, then all eight. */
static inline uint32_t digits_value(uint64_t word, unsigned n)
{
	word <<= 64 - 8 * n;
	word &= 0x0f0f0f0f0f0f0f0fULL;
	word = (word * (1 + (10 << 8))) >> 8 & 0x00ff00ff00ff00ffULL;
	word = (word * (1 + (100 << 16))) >> 16 & 0x0000ffff0000ffffULL;
	return (uint32_t)((word * (1 + (10000ULL << 32))) >> 32);
}

/* The same for n from 1 to 4, with less to do. */
static inline uint32_t digits_value4(uint64_t word, unsigned n)
{
	uint32_t four = (uint32_t)(word << (32 - 8 * n));

	four &= 0x0f0f0f0fU;
	four = (four * (1 + (10 << 8))) >> 8 & 0x00ff00ffU;
	return (four * (1 + (100 << 16))) >> 16;
}

static inline bool is_digit(char c)
{
	return (unsigned char)(c - '0') < 10;
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* One number of any length at *p, which is moved behind it. False, and *p as it was, if there is none or it is above max. */
static inline bool digits_parse(const char **p, uint64_t max, uint64_t *ret_value)
{
	const char *at = *p;
	uint64_t value = 0;

	if (!is_digit(*at))
		return false;
	for (; is_digit(*at); at++)
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *at - '0', &value))
			return false;
	if (value > max)
		return false;
	*p = at;
	*ret_value = value;
	return true;
}

/* Writes a number, returns its end. */
static inline char *digits_write(char *p, uint64_t value)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		*p++ = digits[--n];
	return p;
}

#endif
