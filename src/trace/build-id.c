/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The GNU build-id of an ELF file, 32 or 64 bit, of this machine's byte order. Every offset and length is checked. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/modules.h"

#define NOTES_MAX    (64 * 1024)
#define SEGMENTS_MAX 256

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ELFDATA_NATIVE ELFDATA2LSB
#else
#define ELFDATA_NATIVE ELFDATA2MSB
#endif

static int read_at(int fd, void *data, size_t size, uint64_t offset)
{
	ssize_t n;

	if (offset > INT64_MAX - size)
		return -ENODATA;
	do
		n = pread(fd, data, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -ENODATA;
}

/* Looks through the notes of one segment. */
static int find_note(const char *notes, size_t size, char ret_hex[41])
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name, description;

		memcpy(&note, notes + at, sizeof(note));
		at += sizeof(note);
		name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		description = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name > size - at || description > size - at - name)
			return -ENODATA;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(notes + at, "GNU", 4) && note.n_descsz) {
			const unsigned char *id = (const unsigned char *)notes + at + name;

			for (size_t i = 0; i < MIN(note.n_descsz, 20U); i++)
				snprintf(ret_hex + 2 * i, 3, "%02x", id[i]);
			return 0;
		}
		at += name + description;
	}
	return -ENODATA;
}

static int read_notes(int fd, uint64_t offset, uint64_t size, char ret_hex[41])
{
	_cleanup_free_ char *notes = NULL;
	int r;

	if (!size || size > NOTES_MAX)
		return -ENODATA;
	notes = malloc(size);
	if (!notes)
		return -ENOMEM;
	r = read_at(fd, notes, size, offset);
	return r < 0 ? r : find_note(notes, size, ret_hex);
}

int build_id_read(const char *path, char ret_hex[41])
{
	_cleanup_close_ int fd = -1;
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr e32;
		Elf64_Ehdr e64;
	} header;
	struct stat st;
	char hex[41];
	bool wide;
	uint64_t offset;
	unsigned n, size;
	int r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENODATA;
	memset(&header, 0, sizeof(header));
	r = read_at(fd, &header, sizeof(header.e32), 0);
	if (r < 0)
		return r;
	if (memcmp(header.ident, ELFMAG, SELFMAG) || header.ident[EI_DATA] != ELFDATA_NATIVE)
		return -ENODATA;
	wide = header.ident[EI_CLASS] == ELFCLASS64;
	if (wide) {
		r = read_at(fd, &header, sizeof(header.e64), 0);
		if (r < 0)
			return r;
	}
	offset = wide ? header.e64.e_phoff : header.e32.e_phoff;
	n = wide ? header.e64.e_phnum : header.e32.e_phnum;
	size = wide ? header.e64.e_phentsize : header.e32.e_phentsize;
	if (size != (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return -ENODATA;
	for (unsigned i = 0; i < MIN(n, SEGMENTS_MAX); i++) {
		union {
			Elf32_Phdr p32;
			Elf64_Phdr p64;
		} segment;

		r = read_at(fd, &segment, size, offset + (uint64_t)i * size);
		if (r < 0)
			return r;
		if ((wide ? segment.p64.p_type : segment.p32.p_type) != PT_NOTE)
			continue;
		if (read_notes(fd, wide ? segment.p64.p_offset : segment.p32.p_offset,
			       wide ? segment.p64.p_filesz : segment.p32.p_filesz, hex) == 0) {
			memcpy(ret_hex, hex, sizeof(hex));
			return 0;
		}
	}
	return -ENODATA;
}
