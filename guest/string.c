/* SPDX-License-Identifier: ISC */
/*
 * The functions GCC may call on its own account. Words where possible: the string instructions cost
 * about the same for a word as for a byte where the guest is interpreted.
 */
#include <stddef.h>
#include <stdint.h>

void *memset(void *, int, size_t);
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
int memcmp(const void *, const void *, size_t);

void *
memset(void *dst, int byte, size_t len)
{
	uint64_t pattern = (uint8_t)byte * UINT64_C(0x0101010101010101);
	void *at = dst;
	size_t words = len / 8, bytes = len % 8;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(pattern) : "memory");
	return dst;
}

void *
memcpy(void *dst, const void *src, size_t len)
{
	void *at = dst;
	size_t words = len / 8, bytes = len % 8;

	__asm__ volatile("rep movsq" : "+D"(at), "+S"(src), "+c"(words)::"memory");
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(src), "+c"(bytes)::"memory");
	return dst;
}

void *
memmove(void *dst, const void *src, size_t len)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if ((uintptr_t)dst - (uintptr_t)src >= len)
		return memcpy(dst, src, len);
	for (volatile size_t i = len; i > 0; i--)
		d[i - 1] = s[i - 1];
	return dst;
}

int
memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < len; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	}
	return 0;
}
