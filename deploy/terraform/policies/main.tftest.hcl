# `terraform test`: no provider and no account.

variables {
  account_id         = "111122223333"
  region             = "eu-west-1"
  administrator_arns = ["arn:aws:iam::111122223333:role/kms-administrator"]
  service_role_arn   = "arn:aws:iam::111122223333:role/chancery"
  sealing_key_arns   = ["arn:aws:kms:eu-west-1:111122223333:key/00000000-0000-0000-0000-000000000001"]
}

run "the_service_signs_digests_of_its_own_keys_only" {
  command = plan

  assert {
    condition = alltrue([
      for it in jsondecode(output.service).Statement :
      it.Condition.StringEquals["kms:MessageType"] == "DIGEST"
      && length(it.Condition.StringEquals["kms:SigningAlgorithm"]) == 2
      && it.Condition.StringLike["aws:ResourceTag/chancery-key-id"] == "*"
      if contains(it.Action, "kms:Sign")
    ])
    error_message = "kms:Sign is allowed for more than digests by our keys."
  }

  assert {
    condition     = length([for it in jsondecode(output.service).Statement : it if contains(it.Action, "kms:Sign")]) == 1
    error_message = "kms:Sign stands in one statement, while no key is adopted."
  }

  assert {
    condition = alltrue([
      for action in flatten([for it in jsondecode(output.service).Statement : it.Action]) :
      !strcontains(action, "*") && !contains([
        "kms:PutKeyPolicy", "kms:CreateGrant", "kms:ReplicateKey", "kms:UpdatePrimaryRegion", "kms:UntagResource",
        "kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:ImportKeyMaterial", "kms:CreateAlias",
      ], action)
    ])
    error_message = "The service may do what it never does."
  }

  assert {
    condition = alltrue([
      for it in jsondecode(output.service).Statement :
      join(",", it.Action) == "kms:ListKeys" || try(length(it.Condition) > 0, false) || !contains(it.Resource, "*")
    ])
    error_message = "Something is allowed on everything, and without a condition."
  }
}

run "keys_that_are_made_are_for_signing_in_one_region" {
  command = plan

  assert {
    condition = alltrue([
      for it in jsondecode(output.service).Statement :
      it.Condition.StringEquals["kms:KeyUsage"] == "SIGN_VERIFY"
      && it.Condition.StringEquals["kms:KeyOrigin"] == ["AWS_KMS"]
      && it.Condition.Bool["kms:MultiRegion"] == "false"
      if contains(it.Action, "kms:CreateKey")
    ])
    error_message = "Keys may be made that are not for signing, come from outside, or are copied to other regions."
  }
}

run "importing_is_asked_for" {
  command = plan
  variables {
    imports_keys = true
  }

  assert {
    condition     = contains(flatten([for it in jsondecode(output.service).Statement : it.Action]), "kms:ImportKeyMaterial")
    error_message = "Keys cannot be brought."
  }
}

run "whoever_looks_after_the_sealing_key_opens_nothing" {
  command = plan

  assert {
    condition = alltrue([
      for it in jsondecode(output.sealing_key).Statement :
      it.Principal.AWS == ["arn:aws:iam::111122223333:role/chancery"]
      && it.Condition.StringEquals["kms:EncryptionContext:chancery"] == "data key v1"
      if contains(it.Action, "kms:Decrypt")
    ])
    error_message = "Somebody else opens what is sealed."
  }

  assert {
    condition = alltrue([
      for it in jsondecode(output.sealing_key).Statement :
      !contains(it.Principal.AWS, "*") && !anytrue([for who in it.Principal.AWS : endswith(who, ":root")])
    ])
    error_message = "The key is everybody's, or all of the account's."
  }
}

run "an_alias_is_no_key" {
  command = plan
  variables {
    sealing_key_arns = ["arn:aws:kms:eu-west-1:111122223333:alias/chancery"]
  }
  expect_failures = [var.sealing_key_arns]
}

run "the_root_looks_after_nothing" {
  command = plan
  variables {
    administrator_arns = ["arn:aws:iam::111122223333:root"]
  }
  expect_failures = [var.administrator_arns]
}

run "checkpoints_are_written_on_condition_and_never_removed" {
  command = plan

  variables {
    checkpoint_object_arn = "arn:aws:s3:::example-evidence/prod/checkpoint"
  }

  assert {
    condition = toset(flatten([
      for it in jsondecode(output.service).Statement : it.Action
      if it.Effect == "Allow" && strcontains(join(",", it.Resource), ":s3:::")
    ])) == toset(["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
    error_message = "The service may do more with the bucket than to look and to put."
  }

  assert {
    condition = length([
      for it in jsondecode(output.service).Statement : it
      if it.Effect == "Deny" && contains(it.Action, "s3:PutObject") && length(it.Condition.Null) == 2
    ]) == 1
    error_message = "A write without a condition is not denied."
  }
}

run "a_pattern_is_no_object" {
  command = plan

  variables {
    checkpoint_object_arn = "arn:aws:s3:::example-evidence/*"
  }

  expect_failures = [var.checkpoint_object_arn]
}
