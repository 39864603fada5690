/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/pack.h"

#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#define PACKED_MAX (256U << 20) /* bytes before compression */
#define LEVEL      3

struct buffer {
	uint8_t *data;
	size_t n, allocated;
};

/* Room for the longest thing that is put in at once. */
static int buffer_reserve(struct buffer *buffer)
{
	size_t allocated = buffer->allocated ? 2 * buffer->allocated : 4096;
	uint8_t *data;

	if (buffer->allocated - buffer->n >= 128)
		return 0;
	if (allocated > PACKED_MAX)
		return -EFBIG;
	data = realloc(buffer->data, allocated);
	if (!data)
		return -ENOMEM;
	buffer->data = data;
	buffer->allocated = allocated;
	return 0;
}

/* Numbers: seven bits a byte, lowest first, bit 7 set in all but the last. */
static void put(struct buffer *buffer, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buffer->data[buffer->n++] = (uint8_t)value | 0x80;
	buffer->data[buffer->n++] = (uint8_t)value;
}

static bool get(const struct buffer *buffer, size_t *at, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && *at < buffer->n; shift += 7) {
		uint8_t byte = buffer->data[(*at)++];

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static int compress(const struct buffer *buffer, void **ret_data, size_t *ret_size)
{
	size_t bound = ZSTD_compressBound(buffer->n), size;
	_cleanup_free_ void *data = malloc(bound);
	ZSTD_CCtx *context = ZSTD_createCCtx();

	if (!data || !context) {
		ZSTD_freeCCtx(context);
		return -ENOMEM;
	}
	ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	size = ZSTD_compress2(context, data, bound, buffer->data, buffer->n);
	ZSTD_freeCCtx(context);
	if (ZSTD_isError(size))
		return -ENOMEM;
	*ret_data = TAKE_PTR(data);
	*ret_size = size;
	return 0;
}

static int decompress(const void *data, size_t size, struct buffer *ret_buffer)
{
	unsigned long long n = ZSTD_getFrameContentSize(data, size);
	uint8_t *content;

	/* Unknown and error are the two largest numbers. */
	if (n > PACKED_MAX || ZSTD_findFrameCompressedSize(data, size) != size)
		return -EBADMSG;
	content = malloc(n + 1);
	if (!content)
		return -ENOMEM;
	if (ZSTD_decompress(content, n, data, size) != n) {
		free(content);
		return -EBADMSG;
	}
	*ret_buffer = (struct buffer){ .data = content, .n = n };
	return 0;
}

int pack_counts(const struct counts *counts, void **ret_data, size_t *ret_size)
{
	struct buffer buffer = { 0 };
	int r = buffer_reserve(&buffer);

	if (r < 0)
		return r;
	put(&buffer, ORIGIN_KINDS);
	for (int i = 0; i < ORIGIN_KINDS && r >= 0; i++) {
		put(&buffer, counts->origins[i]);
		put(&buffer, counts->origin_sessions[i]);
		r = buffer_reserve(&buffer);
	}
	put(&buffer, counts->n_grams);
	for (size_t i = 0; i < counts->n_grams && r >= 0; i++) {
		const struct gram *gram = &counts->grams[i];
		unsigned shared = 0;

		r = buffer_reserve(&buffer);
		if (r < 0)
			break;
		if (i && gram[-1].n == gram->n)
			while (shared < gram->n - 1U && gram[-1].symbols[shared] == gram->symbols[shared])
				shared++;
		buffer.data[buffer.n++] = (uint8_t)((gram->n - 1) << 4 | shared);
		for (unsigned k = shared; k < gram->n; k++)
			put(&buffer, gram->symbols[k]);
		put(&buffer, gram->count);
		put(&buffer, gram->sessions);
	}
	if (r >= 0)
		r = compress(&buffer, ret_data, ret_size);
	free(buffer.data);
	return r;
}

static bool get_gram(const struct buffer *buffer, size_t *at, const struct gram *before, struct gram *ret_gram)
{
	struct gram gram = { 0 };
	unsigned shared;

	if (*at == buffer->n)
		return false;
	gram.n = (buffer->data[*at] >> 4) + 1;
	shared = buffer->data[(*at)++] & 0x0f;
	if (shared >= gram.n || (shared && (!before || before->n != gram.n)))
		return false;
	if (shared)
		memcpy(gram.symbols, before->symbols, shared * sizeof(*gram.symbols));
	for (unsigned k = shared; k < gram.n; k++) {
		uint64_t symbol;

		if (!get(buffer, at, &symbol) || symbol > SYMBOL_EXEC)
			return false;
		gram.symbols[k] = (uint16_t)symbol;
	}
	if (!get(buffer, at, &gram.count) || !get(buffer, at, &gram.sessions))
		return false;
	*ret_gram = gram;
	return true;
}

static int get_counts(const struct buffer *buffer, struct counts *counts)
{
	uint64_t kinds, n;
	size_t at = 0;

	if (!get(buffer, &at, &kinds) || kinds != ORIGIN_KINDS)
		return -EBADMSG;
	for (int i = 0; i < ORIGIN_KINDS; i++)
		if (!get(buffer, &at, &counts->origins[i]) || !get(buffer, &at, &counts->origin_sessions[i]))
			return -EBADMSG;
	/* No gram has fewer than four bytes. */
	if (!get(buffer, &at, &n) || n > (buffer->n - at) / 4)
		return -EBADMSG;
	counts->grams = malloc((n + 1) * sizeof(*counts->grams));
	if (!counts->grams)
		return -ENOMEM;
	for (; counts->n_grams < n; counts->n_grams++) {
		struct gram *gram = &counts->grams[counts->n_grams];

		if (!get_gram(buffer, &at, counts->n_grams ? gram - 1 : NULL, gram))
			return -EBADMSG;
	}
	return at == buffer->n ? counts_check(counts) : -EBADMSG;
}

int unpack_counts(const void *data, size_t size, struct counts *counts)
{
	struct buffer buffer;
	int r;

	counts->grams = NULL;
	counts->n_grams = 0;
	r = decompress(data, size, &buffer);
	if (r < 0)
		return r;
	r = get_counts(&buffer, counts);
	free(buffer.data);
	if (r < 0)
		counts_done(counts);
	return r;
}

int pack_session(const struct session *session, void **ret_data, size_t *ret_size)
{
	struct buffer buffer = { 0 };
	int r = 0;

	for (size_t i = 0; i < session->n && r >= 0; i++) {
		r = buffer_reserve(&buffer);
		if (r >= 0)
			put(&buffer, session->symbols[i]);
	}
	if (r >= 0)
		r = compress(&buffer, ret_data, ret_size);
	free(buffer.data);
	return r;
}

int unpack_session(const void *data, size_t size, uint16_t **ret_symbols, size_t *ret_n)
{
	struct session session = { 0 };
	struct buffer buffer;
	size_t at = 0, n = 0;
	uint16_t *symbols;
	int r = decompress(data, size, &buffer);

	if (r < 0)
		return r;
	if (buffer.n > 2 * SESSION_SYMBOLS_MAX) {
		free(buffer.data);
		return -EBADMSG;
	}
	symbols = malloc((buffer.n + 1) * sizeof(*symbols));
	r = symbols ? 0 : -ENOMEM;
	while (r >= 0 && at < buffer.n) {
		uint64_t symbol;

		if (get(&buffer, &at, &symbol) && symbol <= UINT16_MAX)
			symbols[n++] = (uint16_t)symbol;
		else
			r = -EBADMSG;
	}
	free(buffer.data);
	session = (struct session){ .symbols = symbols, .n = n };
	if (!r)
		r = session_check(&session);
	if (r < 0) {
		free(symbols);
		return r;
	}
	*ret_symbols = symbols;
	*ret_n = n;
	return 0;
}
