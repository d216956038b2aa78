;; Takes numbers of 2 or 4 bytes apart into byte planes and puts them together again, 16 at a time.
;;
;; All regions begin at multiples of 16 and have room up to the next multiple of 64 behind their
;; end: groups of 16 items are worked off whole, and what stands behind the last item is noise.
;; Plane k begins $stride bytes behind plane k - 1, the lowest byte of each number in plane 0.
;;
;; $rotate, when not 0, rotates each number left by one bit (right again when joining): that brings
;; the sign to the bottom, and the exponent of a float fills the highest byte.
;; $base, when not 0, is XORed with the items before they are split and after they are joined.
(module
  (memory (export "memory") 34)

  (func (export "split4")
    (param $items i32) (param $base i32) (param $planes i32) (param $stride i32) (param $count i32) (param $rotate i32)
    (local $end i32) (local $p1 i32) (local $p2 i32) (local $p3 i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $ab v128) (local $cd v128)
    (local.set $end (i32.add (local.get $planes) (local.get $count)))
    (local.set $p1 (local.get $stride))
    (local.set $p2 (i32.shl (local.get $stride) (i32.const 1)))
    (local.set $p3 (i32.add (local.get $p2) (local.get $stride)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $planes) (local.get $end)))
        (local.set $a (v128.load (local.get $items)))
        (local.set $b (v128.load offset=16 (local.get $items)))
        (local.set $c (v128.load offset=32 (local.get $items)))
        (local.set $d (v128.load offset=48 (local.get $items)))
        (if (local.get $base)
          (then
            (local.set $a (v128.xor (local.get $a) (v128.load (local.get $base))))
            (local.set $b (v128.xor (local.get $b) (v128.load offset=16 (local.get $base))))
            (local.set $c (v128.xor (local.get $c) (v128.load offset=32 (local.get $base))))
            (local.set $d (v128.xor (local.get $d) (v128.load offset=48 (local.get $base))))
            (local.set $base (i32.add (local.get $base) (i32.const 64)))))
        (if (local.get $rotate)
          (then
            (local.set $a (v128.or (i32x4.shl (local.get $a) (i32.const 1)) (i32x4.shr_u (local.get $a) (i32.const 31))))
            (local.set $b (v128.or (i32x4.shl (local.get $b) (i32.const 1)) (i32x4.shr_u (local.get $b) (i32.const 31))))
            (local.set $c (v128.or (i32x4.shl (local.get $c) (i32.const 1)) (i32x4.shr_u (local.get $c) (i32.const 31))))
            (local.set $d (v128.or (i32x4.shl (local.get $d) (i32.const 1)) (i32x4.shr_u (local.get $d) (i32.const 31))))))
        ;; Planes 0 and 1 of eight items each, then planes 2 and 3.
        (local.set $ab (i8x16.shuffle 0 4 8 12 16 20 24 28 1 5 9 13 17 21 25 29 (local.get $a) (local.get $b)))
        (local.set $cd (i8x16.shuffle 0 4 8 12 16 20 24 28 1 5 9 13 17 21 25 29 (local.get $c) (local.get $d)))
        (v128.store (local.get $planes)
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $ab) (local.get $cd)))
        (v128.store (i32.add (local.get $planes) (local.get $p1))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $ab) (local.get $cd)))
        (local.set $ab (i8x16.shuffle 2 6 10 14 18 22 26 30 3 7 11 15 19 23 27 31 (local.get $a) (local.get $b)))
        (local.set $cd (i8x16.shuffle 2 6 10 14 18 22 26 30 3 7 11 15 19 23 27 31 (local.get $c) (local.get $d)))
        (v128.store (i32.add (local.get $planes) (local.get $p2))
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $ab) (local.get $cd)))
        (v128.store (i32.add (local.get $planes) (local.get $p3))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $ab) (local.get $cd)))
        (local.set $items (i32.add (local.get $items) (i32.const 64)))
        (local.set $planes (i32.add (local.get $planes) (i32.const 16)))
        (br $next))))

  (func (export "join4")
    (param $items i32) (param $base i32) (param $planes i32) (param $stride i32) (param $count i32) (param $rotate i32)
    (local $end i32) (local $p1 i32) (local $p2 i32) (local $p3 i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $low v128) (local $high v128) (local $q0 v128) (local $q1 v128) (local $q2 v128) (local $q3 v128)
    (local.set $end (i32.add (local.get $planes) (local.get $count)))
    (local.set $p1 (local.get $stride))
    (local.set $p2 (i32.shl (local.get $stride) (i32.const 1)))
    (local.set $p3 (i32.add (local.get $p2) (local.get $stride)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $planes) (local.get $end)))
        (local.set $q0 (v128.load (local.get $planes)))
        (local.set $q1 (v128.load (i32.add (local.get $planes) (local.get $p1))))
        (local.set $q2 (v128.load (i32.add (local.get $planes) (local.get $p2))))
        (local.set $q3 (v128.load (i32.add (local.get $planes) (local.get $p3))))
        ;; Pairs of bytes of the first eight items, then of the last eight.
        (local.set $low (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $q0) (local.get $q1)))
        (local.set $high (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $q2) (local.get $q3)))
        (local.set $a (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $low) (local.get $high)))
        (local.set $b (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $low) (local.get $high)))
        (local.set $low (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $q0) (local.get $q1)))
        (local.set $high (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $q2) (local.get $q3)))
        (local.set $c (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $low) (local.get $high)))
        (local.set $d (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $low) (local.get $high)))
        (if (local.get $rotate)
          (then
            (local.set $a (v128.or (i32x4.shr_u (local.get $a) (i32.const 1)) (i32x4.shl (local.get $a) (i32.const 31))))
            (local.set $b (v128.or (i32x4.shr_u (local.get $b) (i32.const 1)) (i32x4.shl (local.get $b) (i32.const 31))))
            (local.set $c (v128.or (i32x4.shr_u (local.get $c) (i32.const 1)) (i32x4.shl (local.get $c) (i32.const 31))))
            (local.set $d (v128.or (i32x4.shr_u (local.get $d) (i32.const 1)) (i32x4.shl (local.get $d) (i32.const 31))))))
        (if (local.get $base)
          (then
            (local.set $a (v128.xor (local.get $a) (v128.load (local.get $base))))
            (local.set $b (v128.xor (local.get $b) (v128.load offset=16 (local.get $base))))
            (local.set $c (v128.xor (local.get $c) (v128.load offset=32 (local.get $base))))
            (local.set $d (v128.xor (local.get $d) (v128.load offset=48 (local.get $base))))
            (local.set $base (i32.add (local.get $base) (i32.const 64)))))
        (v128.store (local.get $items) (local.get $a))
        (v128.store offset=16 (local.get $items) (local.get $b))
        (v128.store offset=32 (local.get $items) (local.get $c))
        (v128.store offset=48 (local.get $items) (local.get $d))
        (local.set $items (i32.add (local.get $items) (i32.const 64)))
        (local.set $planes (i32.add (local.get $planes) (i32.const 16)))
        (br $next))))

  (func (export "split2")
    (param $items i32) (param $base i32) (param $planes i32) (param $stride i32) (param $count i32) (param $rotate i32)
    (local $end i32) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $planes) (local.get $count)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $planes) (local.get $end)))
        (local.set $a (v128.load (local.get $items)))
        (local.set $b (v128.load offset=16 (local.get $items)))
        (if (local.get $base)
          (then
            (local.set $a (v128.xor (local.get $a) (v128.load (local.get $base))))
            (local.set $b (v128.xor (local.get $b) (v128.load offset=16 (local.get $base))))
            (local.set $base (i32.add (local.get $base) (i32.const 32)))))
        (if (local.get $rotate)
          (then
            (local.set $a (v128.or (i16x8.shl (local.get $a) (i32.const 1)) (i16x8.shr_u (local.get $a) (i32.const 15))))
            (local.set $b (v128.or (i16x8.shl (local.get $b) (i32.const 1)) (i16x8.shr_u (local.get $b) (i32.const 15))))))
        (v128.store (local.get $planes)
          (i8x16.shuffle 0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 (local.get $a) (local.get $b)))
        (v128.store (i32.add (local.get $planes) (local.get $stride))
          (i8x16.shuffle 1 3 5 7 9 11 13 15 17 19 21 23 25 27 29 31 (local.get $a) (local.get $b)))
        (local.set $items (i32.add (local.get $items) (i32.const 32)))
        (local.set $planes (i32.add (local.get $planes) (i32.const 16)))
        (br $next))))

  (func (export "join2")
    (param $items i32) (param $base i32) (param $planes i32) (param $stride i32) (param $count i32) (param $rotate i32)
    (local $end i32) (local $a v128) (local $b v128) (local $q0 v128) (local $q1 v128)
    (local.set $end (i32.add (local.get $planes) (local.get $count)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $planes) (local.get $end)))
        (local.set $q0 (v128.load (local.get $planes)))
        (local.set $q1 (v128.load (i32.add (local.get $planes) (local.get $stride))))
        (local.set $a (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $q0) (local.get $q1)))
        (local.set $b (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $q0) (local.get $q1)))
        (if (local.get $rotate)
          (then
            (local.set $a (v128.or (i16x8.shr_u (local.get $a) (i32.const 1)) (i16x8.shl (local.get $a) (i32.const 15))))
            (local.set $b (v128.or (i16x8.shr_u (local.get $b) (i32.const 1)) (i16x8.shl (local.get $b) (i32.const 15))))))
        (if (local.get $base)
          (then
            (local.set $a (v128.xor (local.get $a) (v128.load (local.get $base))))
            (local.set $b (v128.xor (local.get $b) (v128.load offset=16 (local.get $base))))
            (local.set $base (i32.add (local.get $base) (i32.const 32)))))
        (v128.store (local.get $items) (local.get $a))
        (v128.store offset=16 (local.get $items) (local.get $b))
        (local.set $items (i32.add (local.get $items) (i32.const 32)))
        (local.set $planes (i32.add (local.get $planes) (i32.const 16)))
        (br $next))))

  ;; XORs $count bytes at $items with those at $base, in place.
  (func (export "xor") (param $items i32) (param $base i32) (param $count i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $items) (local.get $count)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $items) (local.get $end)))
        (v128.store (local.get $items)
          (v128.xor (v128.load (local.get $items)) (v128.load (local.get $base))))
        (local.set $items (i32.add (local.get $items) (i32.const 16)))
        (local.set $base (i32.add (local.get $base) (i32.const 16)))
        (br $next)))))
