"""The paper's tables, figures and ablation."""
