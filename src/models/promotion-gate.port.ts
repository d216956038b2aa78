/** Conditions that a promotion can be made under. */
export interface PromotionRequirements {
  /** How the version has to do on inputs that were recorded before. */
  readonly replay?: {
    /** Largest share of best labels that may differ from the record, 0 to 1. */
    readonly maxChangedLabels?: number;
    /** Smallest share of right labels among the rows whose truth is known, 0 to 1. */
    readonly minAccuracy?: number;
  };
}

/** What promotions need of whoever judges versions; bound in app.module.ts. */
export interface PromotionGate {
  /** Throws a StoreError of kind `conflict` that says what is not met. */
  assertMet(model: string, version: number, requirements: PromotionRequirements): Promise<void>;
}

export const PROMOTION_GATE = Symbol('PROMOTION_GATE');
