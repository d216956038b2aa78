;; Reads nested lists of numbers from JSON into float32, in one pass over the text.
;;
;; It reads what is plain and gives up on all else, for a slower reader to read or to refuse: so it
;; takes no number that it does not round exactly as JSON.parse and Math.fround do, one after the
;; other.
;;
;; A number of up to 19 digits is a whole number $w times a power of ten $q. Where both are exact
;; doubles, one multiplication or division rounds correctly (Clinger 1990). Elsewhere the upper bits
;; of $w times a power of five in 128 bits decide (Lemire 2021, "Number parsing at a gigabyte per
;; second", section 5 and 8).
;;
;; Memory, filled by number-lists.ts: powers of five from 10^-90 to 10^40, 16 bytes each with the
;; lower half first; powers of ten from 10^0 to 10^22 as float64; sizes of the dimensions, 0 while
;; open; numbers of items so far. The text ends with a byte that is none of JSON.
(module
  (memory (export "memory") 1)
  ;; Where the text behind the lists begins.
  (global $stop (export "stop") (mut i32) (i32.const 0))
  ;; Of the number read last.
  (global $bad (mut i32) (i32.const 0))

  ;; The upper half of a product of 64 by 64 bits.
  (func $high (param $a i64) (param $b i64) (result i64)
    (local $a1 i64) (local $b1 i64) (local $x i64) (local $y i64)
    (local.set $a1 (i64.shr_u (local.get $a) (i64.const 32)))
    (local.set $b1 (i64.shr_u (local.get $b) (i64.const 32)))
    (local.set $a (i64.and (local.get $a) (i64.const 0xffffffff)))
    (local.set $b (i64.and (local.get $b) (i64.const 0xffffffff)))
    (local.set $x (i64.mul (local.get $a1) (local.get $b)))
    (local.set $y (i64.add
      (i64.mul (local.get $a) (local.get $b1))
      (i64.shr_u (i64.mul (local.get $a) (local.get $b)) (i64.const 32))))
    (i64.add
      (i64.mul (local.get $a1) (local.get $b1))
      (i64.add
        (i64.add (i64.shr_u (local.get $x) (i64.const 32)) (i64.shr_u (local.get $y) (i64.const 32)))
        (i64.shr_u
          (i64.add (i64.and (local.get $x) (i64.const 0xffffffff)) (i64.and (local.get $y) (i64.const 0xffffffff)))
          (i64.const 32)))))

  ;; $w times 10^$q as a float64, for $w from 1 and $q within the table.
  (func $scale (param $w i64) (param $q i32) (result f64)
    (local $power i32) (local $zeros i64) (local $upper i64) (local $lower i64) (local $more i64)
    (local $top i64) (local $mantissa i64) (local $exponent i64)
    (local.set $power (i32.shl (i32.add (local.get $q) (i32.const 90)) (i32.const 4)))
    (local.set $zeros (i64.clz (local.get $w)))
    (local.set $w (i64.shl (local.get $w) (local.get $zeros)))
    (local.set $lower (i64.mul (local.get $w) (i64.load offset=8 (local.get $power))))
    (local.set $upper (call $high (local.get $w) (i64.load offset=8 (local.get $power))))
    ;; Only where all bits behind those needed are set can the lower half of the power matter.
    (if (i64.eq (i64.and (local.get $upper) (i64.const 0x1ff)) (i64.const 0x1ff))
      (then
        (local.set $more (call $high (local.get $w) (i64.load (local.get $power))))
        (local.set $lower (i64.add (local.get $lower) (local.get $more)))
        (if (i64.lt_u (local.get $lower) (local.get $more))
          (then (local.set $upper (i64.add (local.get $upper) (i64.const 1)))))
        ;; Not enough bits to decide.
        (if (i64.eq (local.get $lower) (i64.const -1))
          (then (global.set $bad (i32.const 1))))))
    (local.set $top (i64.shr_u (local.get $upper) (i64.const 63)))
    (local.set $mantissa (i64.shr_u (local.get $upper) (i64.add (local.get $top) (i64.const 9))))
    ;; floor(q * log2(10)) as a product with 217706 / 2^16; 63 and 1023 are the widths of words and bias.
    (local.set $exponent
      (i64.sub
        (i64.add
          (i64.add
            (i64.extend_i32_s (i32.shr_s (i32.mul (local.get $q) (i32.const 217706)) (i32.const 16)))
            (i64.const 1086))
          (local.get $top))
        (local.get $zeros)))
    ;; Exactly half way between two: round to the even one.
    (if (i32.and
          (i32.and (i64.le_u (local.get $lower) (i64.const 1)) (i64.eq (i64.and (local.get $mantissa) (i64.const 3)) (i64.const 1)))
          (i32.and (i32.ge_s (local.get $q) (i32.const -4)) (i32.le_s (local.get $q) (i32.const 23))))
      (then
        (if (i64.eq (i64.shl (local.get $mantissa) (i64.add (local.get $top) (i64.const 9))) (local.get $upper))
          (then (local.set $mantissa (i64.and (local.get $mantissa) (i64.const -2)))))))
    (local.set $mantissa
      (i64.shr_u
        (i64.add (local.get $mantissa) (i64.and (local.get $mantissa) (i64.const 1)))
        (i64.const 1)))
    ;; Added, a mantissa that was rounded up to the next power of two carries into the exponent.
    (f64.reinterpret_i64
      (i64.add
        (i64.shl (i64.sub (local.get $exponent) (i64.const 1)) (i64.const 52))
        (local.get $mantissa))))

  ;; Lists within lists from $at on, $rank deep, into float32 at $out; how many the outermost holds,
  ;; or -1 for anything that is not plain.
  (func (export "read") (param $at i32) (param $out i32) (param $rank i32) (result i32)
    (local $depth i32) (local $level i32) (local $c i32) (local $negative i32) (local $q i32) (local $e i32)
    (local $start i32) (local $digits i32) (local $w i64) (local $value f64) (local $single f32)
    (global.set $bad (i32.const 0))
    (loop $next
      ;; A value begins behind white space.
      (loop $space
        (local.set $c (i32.load8_u (local.get $at)))
        (if (call $is_space (local.get $c))
          (then
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $space))))
      (if (i32.eq (local.get $c) (i32.const 0x5b))
        (then
          (if (i32.ge_u (local.get $depth) (local.get $rank)) (then (return (i32.const -1))))
          (i32.store offset=2688 (i32.shl (local.get $depth) (i32.const 2)) (i32.const 0))
          (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next)))
      (if (i32.ne (local.get $depth) (local.get $rank)) (then (return (i32.const -1))))

      ;; One number: sign, whole part, fraction, exponent.
      (local.set $negative (i32.eq (local.get $c) (i32.const 0x2d)))
      (if (local.get $negative)
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $c (i32.load8_u (local.get $at)))))
      (local.set $c (i32.sub (local.get $c) (i32.const 0x30)))
      (if (i32.gt_u (local.get $c) (i32.const 9)) (then (return (i32.const -1))))
      (local.set $w (i64.extend_i32_u (local.get $c)))
      (local.set $digits (i32.ne (local.get $c) (i32.const 0)))
      (local.set $q (i32.const 0))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $c (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
      (if (local.get $digits)
        (then
          (block $whole
            (loop $digit
              (br_if $whole (i32.gt_u (local.get $c) (i32.const 9)))
              (local.set $w (i64.add (i64.mul (local.get $w) (i64.const 10)) (i64.extend_i32_u (local.get $c))))
              (local.set $digits (i32.add (local.get $digits) (i32.const 1)))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (local.set $c (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
              (br $digit)))))
      ;; 0x2e - 0x30: a point.
      (if (i32.eq (local.get $c) (i32.const -2))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $start (local.get $at))
          (local.set $c (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
          (if (i32.gt_u (local.get $c) (i32.const 9)) (then (return (i32.const -1))))
          ;; Zeros before the first digit that counts.
          (if (i64.eqz (local.get $w))
            (then
              (block $counts
                (loop $zero
                  (br_if $counts (local.get $c))
                  (local.set $at (i32.add (local.get $at) (i32.const 1)))
                  (local.set $c (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
                  (br $zero)))))
          (block $fraction
            (loop $digit
              (br_if $fraction (i32.gt_u (local.get $c) (i32.const 9)))
              (local.set $w (i64.add (i64.mul (local.get $w) (i64.const 10)) (i64.extend_i32_u (local.get $c))))
              (local.set $digits (i32.add (local.get $digits) (i32.const 1)))
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (local.set $c (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
              (br $digit)))
          (local.set $q (i32.sub (local.get $start) (local.get $at)))))
      ;; More may not fit 64 bits.
      (if (i32.gt_s (local.get $digits) (i32.const 19)) (then (return (i32.const -1))))
      ;; e or E.
      (if (i32.eq (i32.or (local.get $c) (i32.const 0x20)) (i32.const 0x35))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $c (i32.load8_u (local.get $at)))
          (local.set $start (i32.eq (local.get $c) (i32.const 0x2d)))
          (if (i32.or (local.get $start) (i32.eq (local.get $c) (i32.const 0x2b)))
            (then
              (local.set $at (i32.add (local.get $at) (i32.const 1)))
              (local.set $c (i32.load8_u (local.get $at)))))
          (local.set $c (i32.sub (local.get $c) (i32.const 0x30)))
          (if (i32.gt_u (local.get $c) (i32.const 9)) (then (return (i32.const -1))))
          (local.set $e (i32.const 0))
          (loop $digit
            (local.set $e (i32.add (i32.mul (local.get $e) (i32.const 10)) (local.get $c)))
            (if (i32.gt_s (local.get $e) (i32.const 999)) (then (return (i32.const -1))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $c (i32.sub (i32.load8_u (local.get $at)) (i32.const 0x30)))
            (br_if $digit (i32.le_u (local.get $c) (i32.const 9))))
          (local.set $q
            (i32.add (local.get $q)
              (select (i32.sub (i32.const 0) (local.get $e)) (local.get $e) (local.get $start))))))

      (if (i32.and
            (i64.le_u (local.get $w) (i64.const 0x20000000000000))
            (i32.le_u (i32.add (local.get $q) (i32.const 22)) (i32.const 44)))
        (then
          (local.set $value (f64.convert_i64_u (local.get $w)))
          (if (i32.lt_s (local.get $q) (i32.const 0))
            (then
              (local.set $value
                (f64.div (local.get $value)
                  (f64.load offset=2304 (i32.shl (i32.sub (i32.const 0) (local.get $q)) (i32.const 3))))))
            (else
              (local.set $value
                (f64.mul (local.get $value)
                  (f64.load offset=2304 (i32.shl (local.get $q) (i32.const 3))))))))
        (else
          (if (i64.eqz (local.get $w))
            (then (local.set $value (f64.const 0)))
            (else
              (if (i32.gt_u (i32.add (local.get $q) (i32.const 90)) (i32.const 130)) (then (return (i32.const -1))))
              (local.set $value (call $scale (local.get $w) (local.get $q)))
              (if (global.get $bad) (then (return (i32.const -1))))))))
      (local.set $single (f32.demote_f64 (local.get $value)))
      (if (f32.eq (local.get $single) (f32.const inf)) (then (return (i32.const -1))))
      (f32.store (local.get $out)
        (select (f32.neg (local.get $single)) (local.get $single) (local.get $negative)))
      (local.set $out (i32.add (local.get $out) (i32.const 4)))

      ;; Behind a value: a comma, or the ends of lists, which are values themselves.
      (loop $behind
        (local.set $level (i32.shl (i32.sub (local.get $depth) (i32.const 1)) (i32.const 2)))
        (local.set $e (i32.add (i32.load offset=2688 (local.get $level)) (i32.const 1)))
        (i32.store offset=2688 (local.get $level) (local.get $e))
        (loop $space
          (local.set $c (i32.load8_u (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $next (i32.eq (local.get $c) (i32.const 0x2c)))
          (br_if $space (call $is_space (local.get $c))))
        (if (i32.ne (local.get $c) (i32.const 0x5d)) (then (return (i32.const -1))))
        (if (i32.load offset=2560 (local.get $level))
          (then
            (if (i32.ne (i32.load offset=2560 (local.get $level)) (local.get $e))
              (then (return (i32.const -1)))))
          (else (i32.store offset=2560 (local.get $level) (local.get $e))))
        (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
        (br_if $behind (local.get $depth))))
    (global.set $stop (local.get $at))
    (local.get $e))

  ;; Space, tab, line feed, carriage return.
  (func $is_space (param $c i32) (result i32)
    (i32.and
      (i32.le_u (local.get $c) (i32.const 0x20))
      (i32.wrap_i64
        (i64.and
          (i64.shr_u (i64.const 0x100002600) (i64.extend_i32_u (local.get $c)))
          (i64.const 1))))))
