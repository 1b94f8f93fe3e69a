# Chancery in AWS KMS: the key that seals, and a role that may sign digests with Chancery's own keys and nothing
# else. The keys that sign are not made here: `chancery keys create` makes them, on record and approved.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
    }
  }
}

variable "name" {
  type        = string
  description = "What the role and the alias are called."
  default     = "chancery"
}

variable "assume_role_policy" {
  type        = string
  description = "Who may be the service, as JSON: an instance, a pod (IRSA, pod identity), a web identity."
}

variable "administrator_arns" {
  type        = list(string)
  description = "Who looks after the sealing key."
}

variable "former_sealing_key_arns" {
  type        = list(string)
  description = "Sealing keys of before, while the configuration still names them."
  default     = []
}

variable "adopted_key_arns" {
  type    = list(string)
  default = []
}

variable "checkpoint_object_arn" {
  type        = string
  description = "The object to which checkpoints are published, in a bucket of another account if there is one."
  default     = ""
}

variable "imports_keys" {
  type    = bool
  default = false
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  account  = data.aws_caller_identity.this.account_id
  role_arn = "arn:${data.aws_partition.this.partition}:iam::${local.account}:role/${var.name}"
}

module "policies" {
  source                = "./policies"
  account_id            = local.account
  region                = data.aws_region.this.name
  partition             = data.aws_partition.this.partition
  administrator_arns    = var.administrator_arns
  service_role_arn      = local.role_arn
  sealing_key_arns      = concat([aws_kms_key.sealing.arn], var.former_sealing_key_arns)
  adopted_key_arns      = var.adopted_key_arns
  imports_keys          = var.imports_keys
  checkpoint_object_arn = var.checkpoint_object_arn
}

# The sealing key's own policy must not wait for its ARN.
module "sealing_policy" {
  source             = "./policies"
  account_id         = local.account
  region             = data.aws_region.this.name
  partition          = data.aws_partition.this.partition
  administrator_arns = var.administrator_arns
  service_role_arn   = aws_iam_role.service.arn
}

resource "aws_iam_role" "service" {
  name                 = var.name
  assume_role_policy   = var.assume_role_policy
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "service" {
  name   = "${var.name}-kms"
  role   = aws_iam_role.service.id
  policy = module.policies.service
}

# It wraps the data keys that API secrets are sealed under. Deleted, they are lost: derive them again.
resource "aws_kms_key" "sealing" {
  description             = "chancery sealing"
  policy                  = module.sealing_policy.sealing_key
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = { chancery-purpose = "sealing" }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "sealing" {
  name          = "alias/${var.name}-sealing"
  target_key_id = aws_kms_key.sealing.key_id
}

output "sealing_key" {
  description = "`sealing_key` of the configuration."
  value       = aws_kms_key.sealing.arn
}

output "role_arn" {
  description = "The role of the service."
  value       = aws_iam_role.service.arn
}
